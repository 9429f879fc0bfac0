"""Pauses before a failed call is tried again."""

from __future__ import annotations

import random as _random
from dataclasses import dataclass

__all__ = ["Pauses", "about"]


@dataclass(frozen=True, slots=True)
class Pauses:
    """Pauses that grow from `first` to `longest` seconds, by `factor` from failure to failure.

    A random share of up to `jitter` is taken away from each, so that many who failed together do not return together.
    """

    first: float
    longest: float
    factor: float = 2.0
    jitter: float = 0.5

    def after(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row, from 1 on."""
        # A power that overflows is a pause past every limit.
        try:
            grown = min(self.longest, self.first * self.factor ** (failures - 1))
        except OverflowError:
            grown = self.longest
        return grown * (1 - self.jitter * _random.random())


def about(seconds: float) -> float:
    """So many seconds, give or take a quarter: many processes do not act at one moment."""
    return seconds * _random.uniform(0.75, 1.25)
