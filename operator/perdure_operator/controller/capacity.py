"""How many runs may be active at once, in all and in a namespace, and who gets the next place.

A place is taken before a run is claimed and held while it is. One that comes free goes to the namespace whose turn it
is (`shares`), and there to whoever waits longest; he is told, and gives it back if he no longer needs it.
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
    """How many there are; None: as many as are asked for. `weights` of namespaces are 1 where nothing else is said."""

    total: int | None = None
    per_namespace: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)


class Capacity:
    """Who holds a place and who waits for one; `tell` is called with each that gets one while it waits."""

    def __init__(self, places: Places, tell: Callable[[Key], None]) -> None:
        self._places = places
        self._tell = tell
        self._holders: dict[UUID, Key] = {}
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[UUID, Key]] = {}
        self._shares = Shares(places.weights)
        self._giving_way: set[UUID] = set()

    @property
    def held(self) -> int:
        """How many places are taken."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(len(line) for line in self._waiting.values())

    def held_by_namespace(self) -> dict[tuple[str, ...], int]:
        """How many places each namespace holds that holds any."""
        return {(namespace,): held for namespace, held in self._held.items() if held}

    def waiting_by_namespace(self) -> dict[tuple[str, ...], int]:
        """For how many places each namespace waits that waits for any."""
        return {(namespace,): len(line) for namespace, line in self._waiting.items()}

    def refusal(self, key: Key, uid: UUID) -> str | None:
        """Why this run can have no place now; None if it has one or can."""
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
        """Whether somebody waits who could have the place of this run, and to whom nobody else gives way."""
        if uid not in self._holders:
            return False
        could = (
            len(line) for one, line in self._waiting.items() if self._has_room(self._held[one] - (one == key.namespace))
        )
        return sum(could) > len(self._giving_way - {uid})

    def give_way(self, key: Key, uid: UUID) -> bool:
        """Begin to give the place of a run to another; whether it is still wanted. `settle` says what came of it."""
        if not self.wanted(key, uid):
            return False
        self._giving_way.add(uid)
        return True

    def take(self, key: Key, uid: UUID) -> bool:
        """Take a place, or wait for one."""
        if self.refusal(key, uid) is not None:
            self.wait(key, uid)
            return False
        self._hold(key, uid)
        return True

    def wait(self, key: Key, uid: UUID) -> bool:
        """Stand in line, and whether that is news; whoever does already keeps his place there."""
        line = self._waiting.get(key.namespace, {})
        if uid in self._holders or uid in line:
            return False
        self._waiting.setdefault(key.namespace, {})[uid] = key
        return True

    def settle(self, key: Key, uid: UUID, *, held: bool) -> None:
        """Whether this run is held now; if not, it does not wait to be, either."""
        self._giving_way.discard(uid)
        if held:
            self._hold(key, uid)
            return
        if uid in self._holders:
            del self._holders[uid]
            self._held[key.namespace] -= 1
        self._leave(key, uid)
        self._hand_on()

    def begin(self, held: Iterable[tuple[Key, UUID]]) -> None:
        """These are held, whatever was known before."""
        self._holders = {uid: key for key, uid in held}
        self._held = Counter(key.namespace for key in self._holders.values())
        for uid, key in self._holders.items():
            self._leave(key, uid)
        self._hand_on()

    def _has_room(self, held: int) -> bool:
        """Whether a namespace that holds so many may have one more."""
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
            self._tell(key)
