"""The rows of the operator's table, by the names that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.cluster.ground import ClusterGround
from benchmarks.table import Row

from . import burst, cut_off, first_checkpoint, hundred, kills, leader, next_attempt, rest, writes

ROWS: dict[str, Callable[[ClusterGround, int], Iterable[Row]]] = {
    "first-checkpoint": first_checkpoint.rows,
    "next-attempt": next_attempt.rows,
    "hundred": hundred.rows,
    "cut-off": cut_off.rows,
    "leader": leader.rows,
    "writes": writes.rows,
    "burst": burst.rows,
    "rest": rest.rows,
    "kills": kills.rows,
}
