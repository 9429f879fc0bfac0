"""Rules: which requests a fault strikes, how often and until when. Tests set them, the proxy's loop asks them."""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
from collections.abc import Iterator
from typing import Self

from .faults import Fault, Point
from .requests import Exchange, Requests


class Rule:
    """A fault in force, until `end()`, the end of its `with` block or that of its time."""

    def __init__(
        self, rules: Rules, number: int, fault: Fault, on: Requests, times: int | None, rate: float, seed: int
    ) -> None:
        self.fault = fault
        self.on = on
        self.struck = 0
        """How often it has struck so far."""
        self.ended = asyncio.Event()
        """Set on the proxy's loop."""
        self.number = number
        self._rules = rules
        self._times = times
        self._rate = rate
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self._over = False

    def strikes(self, exchange: Exchange, point: Point) -> bool:
        """Whether it strikes here and now; if so, it is counted."""
        if not (self.on.match(exchange.request) and self.fault.strikes(point)):
            return False
        with self._lock:
            if self._over or (self._times is not None and self.struck >= self._times):
                return False
            if self._rate < 1 and self._chance.random() >= self._rate:
                return False
            self.struck += 1
        exchange.struck.append(type(self.fault).__name__)
        return True

    def end(self) -> None:
        """Take the fault away. What it holds back goes on; it strikes nobody after this returns."""
        with self._lock:
            self._over = True
        self._rules.remove(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Rules:
    """The rules in force, in the order in which they were set."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._rules: tuple[Rule, ...] = ()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.latest = 0
        """The number of the newest rule."""
        self.changed = loop.create_future()
        """Done as soon as there is a new rule, and then replaced. Belongs to the proxy's loop."""

    def add(
        self, fault: Fault, on: Requests, *, times: int | None, seconds: float | None, rate: float, seed: int
    ) -> Rule:
        """Put a fault in force, from any thread."""
        with self._lock:
            rule = Rule(self, next(self._numbers), fault, on, times, rate, seed)
            self._rules = (*self._rules, rule)
            self.latest = rule.number
        self._loop.call_soon_threadsafe(self._wake)
        if seconds is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, seconds, rule.end)
        return rule

    def remove(self, rule: Rule) -> None:
        """Forget a rule that is over, from any thread."""
        with self._lock:
            self._rules = tuple(other for other in self._rules if other is not rule)
        if not self._loop.is_closed():  # a `with` block may outlast the proxy
            self._loop.call_soon_threadsafe(rule.ended.set)

    def striking(self, exchange: Exchange, point: Point, *, newer_than: int = 0) -> Iterator[Rule]:
        """The rules that strike here, each counted when it is taken from the iterator and not before."""
        return (r for r in self._rules if r.number > newer_than and r.strikes(exchange, point))

    def _wake(self) -> None:
        self.changed.set_result(None)
        self.changed = self._loop.create_future()
