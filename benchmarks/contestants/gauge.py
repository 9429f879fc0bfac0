"""Counts the steps that concurrent runs do while all of them are in flight."""

from __future__ import annotations

import time


class Gauge:
    """Counts from when the last of `runs` runs has begun to when the first one has ended."""

    def __init__(self, runs: int) -> None:
        self._runs = runs
        self._begun = 0
        self._steps = 0
        self._start: tuple[float, float, int] | None = None
        self._end: tuple[float, float, int] | None = None

    def begin(self) -> None:
        """A run has begun."""
        self._begun += 1
        if self._begun == self._runs:
            self._start = self._now()

    def step(self) -> None:
        """A step's body ran."""
        self._steps += 1

    def end(self) -> None:
        """A run has ended."""
        if self._end is None:
            self._end = self._now()

    def figures(self) -> dict[str, float]:
        """Steps per second, and milliseconds of this process's CPU for each."""
        assert self._start is not None, "not all runs have begun"
        assert self._end is not None, "no run has ended"
        seconds, cpu, steps = (end - start for start, end in zip(self._start, self._end, strict=True))
        assert steps > 0, "a run ended before the last one began"
        return {"per_second": steps / seconds, "cpu_ms": cpu / steps * 1e3}

    def _now(self) -> tuple[float, float, int]:
        return time.perf_counter(), time.process_time(), self._steps
