"""Limits how many runs are active at once, in total and in a namespace, and decides which run gets the next place.

A run takes a place before it is claimed, and holds it until it is no longer claimed. A free place goes to the namespace
whose turn it is (`shares`), and there to the run that waits longest. That run's key is added to the work queue; its
reconcile gives the place back if the run no longer needs it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from ..decide.observed import Key
from .shares import Shares

__all__ = ["Capacity", "Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """The limits; None means no limit. A namespace that is missing in `weights` has the weight 1."""

    total: int | None = None
    per_namespace: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)


class Capacity:
    """The runs that hold a place, and those that wait for one; `granted` is called when a waiting run gets one."""

    def __init__(self, places: Places, granted: Callable[[Key], None]) -> None:
        self._places = places
        self._granted = granted
        self._holders: dict[UUID, Key] = {}
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[UUID, Key]] = {}
        self._shares = Shares(places.weights)
        self._giving_way: set[UUID] = set()

    @property
    def held(self) -> int:
        """How many runs hold a place."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many runs wait for a place."""
        return sum(len(line) for line in self._waiting.values())

    def held_by_namespace(self) -> dict[tuple[str, ...], int]:
        """How many runs hold a place, for each namespace that has any."""
        return {(namespace,): held for namespace, held in self._held.items() if held}

    def waiting_by_namespace(self) -> dict[tuple[str, ...], int]:
        """How many runs wait for a place, for each namespace that has any."""
        return {(namespace,): len(line) for namespace, line in self._waiting.items()}

    def refusal(self, key: Key, uid: UUID) -> str | None:
        """Why this run cannot get a place now; None if it has one or can get one."""
        if uid in self._holders:
            return None
        total, ours = len(self._holders), self._held[key.namespace]
        if self._places.total is not None and total >= self._places.total:
            return (
                f"{total} runs are active, as many as the operator may have at once; {ours} of them are of this"
                " namespace, and the next place goes to the one that has fewest for its weight"
            )
        if not self._has_room(ours):
            return f"{ours} runs are active in this namespace, as many as it may have at once"
        return None

    def wanted(self, key: Key, uid: UUID) -> bool:
        """Whether this run's place is needed: more waiting runs could use it than other runs are about to give way."""
        if uid not in self._holders:
            return False
        could = (
            len(line) for one, line in self._waiting.items() if self._has_room(self._held[one] - (one == key.namespace))
        )
        return sum(could) > len(self._giving_way - {uid})

    def give_way(self, key: Key, uid: UUID) -> bool:
        """Begin to give the place of a run to another. False if no run wants it any more. `settle` ends this."""
        if not self.wanted(key, uid):
            return False
        self._giving_way.add(uid)
        return True

    def take(self, key: Key, uid: UUID) -> bool:
        """Take a place for a run, or have it wait for one. Returns whether it has a place."""
        if self.refusal(key, uid) is not None:
            self.wait(key, uid)
            return False
        self._hold(key, uid)
        return True

    def wait(self, key: Key, uid: UUID) -> bool:
        """Have a run wait for a place. False if it waits already, which keeps its position, or if it holds a place."""
        line = self._waiting.get(key.namespace, {})
        if uid in self._holders or uid in line:
            return False
        self._waiting.setdefault(key.namespace, {})[uid] = key
        return True

    def settle(self, key: Key, uid: UUID, *, held: bool) -> None:
        """Note whether a run is claimed now. If it is not, it neither holds a place nor waits for one."""
        self._giving_way.discard(uid)
        if held:
            self._hold(key, uid)
            return
        if uid in self._holders:
            del self._holders[uid]
            self._held[key.namespace] -= 1
            if not self._held[key.namespace]:
                del self._held[key.namespace]
        self._leave(key, uid)
        self._hand_on()

    def begin(self, held: Iterable[tuple[Key, UUID]]) -> None:
        """Replace the holders by these runs: the claimed runs that the first comparison has found."""
        self._holders = {uid: key for key, uid in held}
        self._held = Counter(key.namespace for key in self._holders.values())
        for uid, key in self._holders.items():
            self._leave(key, uid)
        self._hand_on()

    def _has_room(self, held: int) -> bool:
        """Whether a namespace that holds so many places may have one more."""
        return self._places.per_namespace is None or held < self._places.per_namespace

    def _hold(self, key: Key, uid: UUID) -> None:
        if uid not in self._holders:
            self._holders[uid] = key
            self._held[key.namespace] += 1
            self._shares.served(key.namespace)
        self._leave(key, uid)

    def _leave(self, key: Key, uid: UUID) -> None:
        line = self._waiting.get(key.namespace)
        if line is not None:
            line.pop(uid, None)
            if not line:
                del self._waiting[key.namespace]

    def _hand_on(self) -> None:
        while self._places.total is None or len(self._holders) < self._places.total:
            can = [namespace for namespace in self._waiting if self._has_room(self._held[namespace])]
            namespace = self._shares.next(can, self._held)
            if namespace is None:
                return
            uid, key = next(iter(self._waiting[namespace].items()))
            self._hold(key, uid)
            self._granted(key)
