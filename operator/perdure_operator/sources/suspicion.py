"""Decides, when most attempts fall silent at once, whether nodes are lost or pods cannot reach the store. Pure.

On a lost node all attempts are dead. If the network between pods and store is broken, they are alive, and new attempts
could not reach the store either. So silent attempts are left alone, and attempts start one at a time until one begins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from typing import Final
from uuid import UUID

__all__ = ["Suspicion", "suspicious", "uid_of"]

RESUMED: Final = 3
"""Leases within which a suspicion that returns after a failed read continues the old one, so that `LONGEST` ends it."""

LEAST: Final = 3
"""Fewest silent attempts for a suspicion: starting two attempts again does no harm."""

TURN: Final = 5
"""Leases that one turn lasts: half a minute by default, in which most attempts begin."""

LONGEST: Final = 100
"""Leases after which a suspicion ends and silent attempts count as dead: ten minutes by default."""


def suspicious(quiet: Collection[str | None], beating: Collection[str | None]) -> bool:
    """Whether a broken network to the store is more likely than lost nodes.

    Args:
        quiet: the node of each silent attempt; None if unknown.
        beating: the node of each other attempt.
    """
    if len(quiet) < LEAST or len(quiet) <= len(beating):
        return False
    nodes = set(quiet)
    # One node may have most of the attempts. Heartbeats from other nodes then show that the network works.
    return len(nodes) > 1 or None in nodes or nodes >= set(beating)


def uid_of(held: str) -> UUID:
    """The run's UID in a string of run and claim."""
    return UUID(held.partition(" ")[0])


class Suspicion:
    """Whether silent attempts are left alone, and which run has a turn to start one.

    Args:
        lease: seconds without a heartbeat after which an attempt is silent.
        namespace: of the Workflow of a run; None if it was deleted. Namespaces get equal numbers of turns.
        node: of the newest attempt at a run; None if unknown.

    Attributes:
        problem: why silent attempts are left alone and attempts start one at a time; None if there is no suspicion.
        turn: the run whose silent attempt may count as dead, or which may be claimed, all the same.
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
        """Take a read of the counters. Returns whether the network works after all: restart all observations.

        Args:
            now: monotonic.
            counters: of all claimed runs, by run and claim.
            quiet: those without a change for half a lease. This includes all that stopped together with a silent one.
            silent: those without a change for a whole lease.
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
        """Take a failed read: it restarts all observations, so no attempt is silent now."""
        self._end()

    def wait(self, uid: UUID) -> None:
        """Let an unclaimed run wait for a turn to be claimed."""
        self._waiting[uid] = None

    def left_alone(self, uid: UUID) -> bool:
        """Whether no attempt at this run may count as dead or be started now."""
        return self.problem is not None and self.turn != uid

    def waiting(self) -> list[UUID]:
        """The unclaimed runs that wait for a turn."""
        return list(self._waiting)

    def _is_suspicious(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> bool:
        counted, beating = self._apart(counters, quiet)
        return suspicious(
            [self._node(uid_of(held)) for held in counted], [self._node(uid_of(held)) for held in beating]
        )

    def _is_open(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> bool:
        """Whether an attempt has begun, or most attempts send heartbeats again. Having few left proves nothing."""
        if counters.keys() - self._known:
            return True
        counted, beating = self._apart(counters, quiet)
        return 0 < len(beating) >= len(counted)

    def _apart(self, counters: Mapping[str, int | None], quiet: Collection[str]) -> tuple[list[str], list[str]]:
        """The quiet attempts and the others, both without the excused ones."""
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
        """End the suspicion. `excused` attempts cause no new one, unless they send a heartbeat in between."""
        if excused is not None:
            self._excused = dict(excused)
            self._suspected_at = float("-inf")
        self.problem = self.turn = None
        self._waiting.clear()
        self._turns.clear()

    def _next_turn(self, now: float, silent: Collection[str]) -> None:
        """Give the turn to the run with the fewest turns, of the namespace with the fewest turns."""
        asking = [*self._waiting, *map(uid_of, silent)]
        namespaces = {uid: namespace for uid in asking if (namespace := self._namespace(uid)) is not None}
        if not namespaces:
            self.turn = None
            return
        self.turn = min(namespaces, key=lambda uid: (self._turns[namespaces[uid]], self._turns[uid]))
        self._turns.update((namespaces[self.turn], self.turn))
        self._waiting.pop(self.turn, None)
        self._until = now + TURN * self._lease
