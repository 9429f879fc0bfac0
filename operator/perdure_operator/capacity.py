"""How many runs may be active at once, in all and in a namespace, and who gets the next place.

A place is taken before a run is claimed and held while it is. One that comes free goes to whoever waits longest and has
room in his namespace; he is told, and gives it back if he no longer needs it.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from uuid import UUID

from .observed import Key

__all__ = ["Capacity", "Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """How many there are; None: as many as are asked for."""

    total: int | None = None
    per_namespace: int | None = None


class Capacity:
    """Who holds a place and who waits for one; `tell` is called with each that gets one while it waits."""

    def __init__(self, places: Places, tell: Callable[[Key], None]) -> None:
        self._places = places
        self._tell = tell
        self._holders: dict[UUID, Key] = {}
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, dict[UUID, tuple[int, Key]]] = {}
        self._order = itertools.count()

    @property
    def held(self) -> int:
        """How many places are taken."""
        return len(self._holders)

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return sum(len(line) for line in self._waiting.values())

    def refusal(self, key: Key, uid: UUID) -> str | None:
        """Why this run can have no place now; None if it has one or can."""
        if uid in self._holders:
            return None
        if self._places.total is not None and len(self._holders) >= self._places.total:
            return f"{len(self._holders)} runs are active, as many as the operator may have at once"
        if self._places.per_namespace is not None and self._held[key.namespace] >= self._places.per_namespace:
            return f"{self._held[key.namespace]} runs are active in this namespace, as many as it may have at once"
        return None

    def take(self, key: Key, uid: UUID) -> bool:
        """Take a place, or wait for one."""
        if self.refusal(key, uid) is not None:
            self.wait(key, uid)
            return False
        self._hold(key, uid)
        return True

    def wait(self, key: Key, uid: UUID) -> None:
        """Stand in line; whoever does already keeps his place there."""
        if uid not in self._holders:
            self._waiting.setdefault(key.namespace, {}).setdefault(uid, (next(self._order), key))

    def settle(self, key: Key, uid: UUID, *, held: bool, wants: bool = False) -> None:
        """Whether this run is held now; if not, whether it waits to be."""
        if held:
            self._hold(key, uid)
            return
        if uid in self._holders:
            del self._holders[uid]
            self._held[key.namespace] -= 1
        if wants:
            self.wait(key, uid)
        else:
            self._leave(key, uid)
        self._hand_on()

    def begin(self, held: Iterable[tuple[Key, UUID]]) -> None:
        """These are held, whatever was known before."""
        self._holders = {uid: key for key, uid in held}
        self._held = Counter(key.namespace for key in self._holders.values())
        for uid, key in self._holders.items():
            self._leave(key, uid)
        self._hand_on()

    def _hold(self, key: Key, uid: UUID) -> None:
        if uid not in self._holders:
            self._holders[uid] = key
            self._held[key.namespace] += 1
        self._leave(key, uid)

    def _leave(self, key: Key, uid: UUID) -> None:
        line = self._waiting.get(key.namespace)
        if line is not None:
            line.pop(uid, None)
            if not line:
                del self._waiting[key.namespace]

    def _hand_on(self) -> None:
        while heads := [
            (*next(iter(line.values())), next(iter(line)))
            for namespace, line in self._waiting.items()
            if self.refusal(Key(namespace, ""), UUID(int=0)) is None
        ]:
            _, key, uid = min(heads)
            self._hold(key, uid)
            self._tell(key)
