"""What numpy gives is no plain data, and the message says how to make it so."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import ValueNotStorable
from perdure.serialization.codec import ValueCodec

np = pytest.importorskip("numpy")


@pytest.mark.parametrize(
    ("hint", "value", "parts"),
    [
        (float, np.float64(1.5), ["result is a numpy.float64", "`float(...)`", "`.item()`"]),
        (Any, {"a": np.float64(1.5)}, ["result['a'] is a numpy.float64", "`float(...)`"]),
        (int, np.int64(1), ["result is a numpy.int64", "`int(...)`"]),
        (bool, np.bool_(True), ["result is a numpy.bool", "`bool(...)`"]),
        (list[float], [1.0, np.float32(1)], ["result[1] is a numpy.float32", "`float(...)`"]),
        (list[float], np.array([1.0]), ["result is a numpy.ndarray", "`.tolist()`"]),
        (dict[int, str], {np.int64(1): "a"}, ["numpy.int64", "`int(...)`"]),
    ],
)
def test_of_numpy_it_says_how_to_make_plain_data(hint: object, value: object, parts: list[str]) -> None:
    with pytest.raises(ValueNotStorable) as caught:
        ValueCodec.for_hint(hint, "step 's'").encode(value)
    message = str(caught.value)
    assert [part for part in parts if part not in message] == [], message
    assert "annotate" not in message
