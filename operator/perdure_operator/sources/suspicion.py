"""When most attempts fall silent at once: whether nodes are lost, or the way from pods to the store is closed. Pure.

Dead nodes take their attempts with them; a closed way leaves them all alive, and whatever is started in their place
meets it, too. So attempts are left alone, and started one at a time, until one has begun.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final
from uuid import UUID

__all__ = ["Suspicion", "suspicious", "uid_of"]

RESUMED: Final = 3
"""Leases within which a suspicion that a failed read has interrupted is the same: else it would have no end."""

LEAST: Final = 3
"""So many attempts at least: of two, starting both anew is no burden."""

TURN: Final = 5
"""Leases for which one attempt has its turn: half a minute of the default's 6 s, in which most of them begin."""

LONGEST: Final = 100
"""Leases after which nobody is left alone any more: ten minutes."""


def suspicious(quiet: Collection[str | None], beating: Collection[str | None]) -> bool:
    """Whether the way to the store is more likely to be closed than nodes to be lost.

    Args:
        quiet: the node of each attempt of which nothing is heard, None where it is not known.
        beating: the node of each other one.
    """
    if len(quiet) < LEAST or len(quiet) <= len(beating):
        return False
    nodes = set(quiet)
    # One node may have most of the attempts. That the others' hearts beat elsewhere shows the way to be open.
    return len(nodes) > 1 or None in nodes or nodes >= set(beating)


def uid_of(held: str) -> UUID:
    """The run of a run and its claim."""
    return UUID(held.partition(" ")[0])


class Suspicion:
    """Who is left alone, and whose turn it is.

    Args:
        lease: seconds after which an attempt of which nothing is heard is silent.
        namespace: of the Workflow of a run; None once there is none. They have turns in equal parts.
        node: where the newest attempt at a run is, as far as is known.

    Attributes:
        problem: why attempts are left alone and started one at a time; None while they are not.
        turn: the run whose attempt may be ended and started anew all the same.
    """

    def __init__(
        self, lease: float, namespace: Callable[[UUID], str | None], node: Callable[[UUID], str | None]
    ) -> None:
        self._lease = lease
        self._namespace = namespace
        self._node = node
        self._since = self._until = 0.0
        self._suspected_at = float("-inf")
        self._known: Collection[str] = ()
        self._excused: dict[str, int | None] = {}
        self._waiting: dict[UUID, None] = {}
        self._turns: Counter[str | UUID] = Counter()
        self.problem: str | None = None
        self.turn: UUID | None = None

    def read(
        self, now: float, counters: Mapping[str, int | None], quiet: Collection[str], silent: Collection[str]
    ) -> bool:
        """Take in a read of the counters. Returns whether the way has turned out to be open: watch everybody anew.

        Args:
            now: monotonic.
            counters: of all runs that are held, each by its run and claim.
            quiet: those that have stood still for half a lease: all that fell silent together with a silent one.
            silent: those that have stood still for a whole one.
        """
        self._excused = {held: at for held, at in self._excused.items() if held in counters and counters[held] == at}
        if self.problem is None:
            if silent and self._is_suspicious(counters, quiet):
                self._begin(now, counters, quiet)
        elif self._is_open(counters, quiet):
            self._end(counters)
            return True
        elif now - self._since >= LONGEST * self._lease:
            self._end(counters)
        if self.problem is not None:
            self._suspected_at = now
            if now >= self._until:
                self._next_turn(now, silent)
        return False

    def failed(self) -> None:
        """Take in a read that failed: nobody is silent, until all are again."""
        self._end()

    def wait(self, uid: UUID) -> None:
        """Have a run in line that nobody holds and that is to be claimed."""
        self._waiting[uid] = None

    def left_alone(self, uid: UUID) -> bool:
        """Whether no attempt at this run is to be ended for its silence, nor started, for now."""
        return self.problem is not None and self.turn != uid

    def waiting(self) -> list[UUID]:
        """Runs that nobody holds and that wait for their turn."""
        return list(self._waiting)

    def _is_suspicious(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> bool:
        counted, beating = self._apart(counters, quiet)
        return suspicious(
            [self._node(uid_of(held)) for held in counted], [self._node(uid_of(held)) for held in beating]
        )

    def _is_open(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> bool:
        """Whether an attempt has begun, or most hearts beat again. That those left are few shows nothing."""
        if counters.keys() - self._known:
            return True
        counted, beating = self._apart(counters, quiet)
        return 0 < len(beating) >= len(counted)

    def _apart(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> tuple[list[str], list[str]]:
        """Those that are quiet, and the others; without those that are excused."""
        apart = set(quiet)
        counted = [held for held in quiet if held not in self._excused]
        return counted, [held for held in counters if held not in apart and held not in self._excused]

    def _begin(self, now: float, counters: Mapping[str, int | None], quiet: Collection[str]) -> None:
        if now - self._suspected_at > RESUMED * self._lease:
            self._since = self._until = now
            self._known = frozenset(counters)
        self.problem = (
            f"{len(quiet)} of {len(counters)} attempts fell silent at once, so pods seem not to reach the store, which"
            " the operator does reach; attempts are started one at a time until one has begun"
        )

    def _end(self, excused: Mapping[str, int | None] | None = None) -> None:
        """`excused` are no reason to suspect anything again, unless their hearts beat in between."""
        if excused is not None:
            self._excused = dict(excused)
            self._suspected_at = float("-inf")
        self.problem = self.turn = None
        self._waiting.clear()
        self._turns.clear()

    def _next_turn(self, now: float, silent: Collection[str]) -> None:
        """Whoever of the namespace that had fewest turns had fewest himself."""
        asking = [*self._waiting, *map(uid_of, silent)]
        namespaces = {uid: namespace for uid in asking if (namespace := self._namespace(uid)) is not None}
        if not namespaces:
            self.turn = None
            return
        self.turn = min(namespaces, key=lambda uid: (self._turns[namespaces[uid]], self._turns[uid]))
        self._turns.update((namespaces[self.turn], self.turn))
        self._waiting.pop(self.turn, None)
        self._until = now + TURN * self._lease
