"""What goes into a loaf."""

from __future__ import annotations


def flour(loaves: int) -> int:
    """Grams."""
    return 500 * loaves
