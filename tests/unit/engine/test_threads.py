"""The threads of a pool: one that dies by an error of the pool's own holds up neither its end nor its next call."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import perdure
from perdure.engine.threads import ThreadPoolExecutor


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_not_waited_for_nor_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = perdure.ThreadPoolExecutor(2)
    ended = ThreadPoolExecutor._ended
    died = threading.Event()

    def dies_once(self: Any, work: Any) -> None:
        ended(self, work)
        if not died.is_set():
            died.set()
            raise MemoryError

    monkeypatch.setattr(ThreadPoolExecutor, "_ended", dies_once)
    assert pool.submit(abs, -1).result(10) == 1
    assert died.wait(10)
    assert pool.submit(abs, -2).result(10) == 2
    over = threading.Thread(target=pool.shutdown, daemon=True)
    over.start()
    over.join(10)
    assert not over.is_alive()
