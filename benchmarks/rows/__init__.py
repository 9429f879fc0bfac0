"""The rows of the table, by the names that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.ground import Ground
from benchmarks.table import Row

from . import concurrent, exec_start, first_step, flush, memory, recovery, round_trip, statements, steps

ROWS: dict[str, Callable[[Ground, int], Iterable[Row]]] = {
    "steps": steps.rows,
    "concurrent": concurrent.rows,
    "statements": statements.rows,
    "round-trip": round_trip.rows,
    "flush": flush.rows,
    "recovery": recovery.rows,
    "first-step": first_step.rows,
    "exec": exec_start.rows,
    "memory": memory.rows,
}
