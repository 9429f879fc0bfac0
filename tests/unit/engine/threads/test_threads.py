"""The threads of a pool: one that dies by an error of the pool's own holds up neither its end nor its next call."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import perdure
from perdure.engine.threads.threads import ThreadPoolExecutor
from tests.harness.eventually import eventually


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_not_waited_for_nor_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = perdure.ThreadPoolExecutor(2)
    ended = ThreadPoolExecutor._ended
    dying: list[threading.Thread] = []

    def dies_once(self: Any, work: Any) -> None:
        ended(self, work)
        if not dying:
            dying.append(threading.current_thread())
            raise MemoryError

    monkeypatch.setattr(ThreadPoolExecutor, "_ended", dies_once)
    assert pool.submit(abs, -1).result(10) == 1
    eventually(lambda: dying)[0].join(10)
    assert pool.submit(abs, -2).result(10) == 2
    over = threading.Thread(target=pool.shutdown, daemon=True)
    over.start()
    over.join(10)
    assert not over.is_alive()
