"""JSON whose shape nobody vouches for: what is of another kind is as if it were not there."""

from __future__ import annotations

from typing import Any

import pytest

from perdure_operator.api.untyped import integer, items, mapping, text

VALUES: list[Any] = [None, True, 0, 7, -1, 1.5, "", "text", [], [1, {"a": 1}, None, {}], {}, {"a": 1}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_each_reads_its_own_kind_alone(value: Any) -> None:
    assert mapping(value) == (value if isinstance(value, dict) else {})
    assert text(value) == (value if isinstance(value, str) else None)
    assert list(items(value)) == ([{"a": 1}, {}] if value == VALUES[9] else [])
    assert integer(value) == (value if value in (0, 7) and value is not False else None) or value is True


def test_truth_is_no_number() -> None:
    assert integer(True) is None
    assert integer(-1) is None
    assert integer(1.0) is None
