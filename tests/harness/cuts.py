"""Where a connection to Postgres is cut, and the rules that say which request it hits."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum


class Moment(StrEnum):
    """Where in a request and its answer the connection breaks, seen from the client always as a reset."""

    BEFORE_REQUEST = "before_request"
    """The server never sees the request."""
    AFTER_REQUEST = "after_request"
    """The server has the request and may still be at work on it when the client learns of the reset."""
    BEFORE_ANSWER = "before_answer"
    """The server has done the work and answered; the client gets nothing of the answer."""
    WITHIN_ANSWER = "within_answer"
    """The client gets a part of the answer."""


@dataclass(slots=True)
class Rule:
    """Breaks every request whose SQL contains `sql`, from the `nth` on and `times` times, with probability `rate`."""

    moments: list[Moment]
    sql: str
    nth: int
    times: int
    rate: float
    chance: random.Random

    def verdict(self, statement: str) -> Moment | None:
        if self.sql not in statement or self.times == 0:
            return None
        self.nth -= 1
        if self.nth > 0 or self.chance.random() >= self.rate:
            return None
        self.times -= 1
        return self.chance.choice(self.moments)
