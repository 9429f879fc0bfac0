"""How much goes into one statement: a batch is bounded by its text as well as by its number."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["MOST_TEXT", "portion"]

MOST_TEXT = 4 * 2**20
"""Characters of one statement's values. A value that is larger by itself goes alone."""


def portion(sizes: Iterable[int], most: int) -> int:
    """How many of the first go together, at most `most`; one in any case.

    Args:
        sizes: characters of each.
        most: how many at the most.
    """
    count = total = 0
    for size in sizes:
        total += size
        if count and (count >= most or total > MOST_TEXT):
            break
        count += 1
    return count
