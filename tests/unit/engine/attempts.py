"""Attempts that a test makes by hand, with the store left out or played by the test."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from perdure.claimed_attempt import ClaimedAttempt
from perdure.engine.branches.attempt import Attempt
from perdure.engine.order.journal import Recorded
from perdure.names import RunId, Token
from perdure.store.attempts.checkpoint import Answer

ONE = UUID(int=1)


class StoresAll:
    """A committer that takes every checkpoint at once."""

    def commit(self, *_: object) -> Answer:
        return Answer.DONE


def first_attempt(
    committer: Any = None, *, recorded: Iterable[Recorded] = (), number: int = 1, text: str = "{}", **options: Any
) -> Attempt:
    """The first attempt of a run, or the one of this `number`, with `text` as the workflow's input."""
    claimed = ClaimedAttempt(
        run_id=RunId(ONE), id="order-7", token=Token(ONE), number=number, entrypoint="m:f", input=text
    )
    return Attempt(claimed, recorded, committer, **options)
