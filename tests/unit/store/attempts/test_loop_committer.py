"""A connection that was being opened when its loop closed: nobody waits for it, so it is closed, without a sound."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from perdure.errors import StoreChanged
from perdure.store.attempts.loop_committer import LoopCommitter
from perdure.store.postgres.opener import Backoff
from tests.harness.eventually import eventually


class _Wire:
    closed = False

    def close(self) -> None:
        self.closed = True


class _Opener:
    """Opens a connection, or fails, after its loop was closed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, error: BaseException | None) -> None:
        self.loop = loop
        self.error = error
        self.wire = _Wire()

    def open(self, lock_timeout: int | None = None) -> _Wire:
        self.loop.close()
        if self.error is not None:
            raise self.error
        return self.wire


@pytest.mark.parametrize("error", [None, StoreChanged("another"), ZeroDivisionError()], ids=lambda e: type(e).__name__)
def test_it_is_closed_with_nobody_to_tell(error: BaseException | None) -> None:
    """What its thread raised would be a warning of pytest's, which is an error."""
    loop = asyncio.new_event_loop()
    opener: Any = _Opener(loop, error)
    told: list[object] = []
    LoopCommitter(opener, loop).open_aside(told.append, Backoff(1.0), None)
    eventually(lambda: not any(thread.name == "perdure-connects" for thread in threading.enumerate()))
    assert opener.wire.closed == (error is None)
    assert told == []
