"""What goes together is bounded by number and by text."""

from __future__ import annotations

import pytest

from perdure.store.postgres.portions import MOST_TEXT, portion


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        ([], 0),
        ([1, 1, 1], 3),
        ([1] * 20, 10),
        ([MOST_TEXT, 1], 1),
        ([MOST_TEXT - 1, 1, 1], 2),
        ([10 * MOST_TEXT, 1], 1),
        ([1, 10 * MOST_TEXT], 1),
    ],
)
def test_portion(sizes: list[int], count: int) -> None:
    assert portion(sizes, 10) == count


def test_only_what_is_needed_is_looked_at() -> None:
    sizes = iter([MOST_TEXT] * 1000)
    assert portion(sizes, 500) == 1
    assert len(list(sizes)) == 998
