"""The rows of the operator's table, by the names that `--only` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from benchmarks.cluster.ground import ClusterGround
from benchmarks.table import Row

ROWS: dict[str, Callable[[ClusterGround, int], Iterable[Row]]] = {}
