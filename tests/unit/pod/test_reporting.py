"""Calls to the store are made in one thread, one after the other, and a failing one ends nothing."""

from __future__ import annotations

import ctypes
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from perdure.errors import StoreUnavailable, Superseded
from perdure.pod import Death, Progress, Verdict, reporting
from perdure.pod.reporting import ReportingThread
from tests.harness.eventually import eventually


class Store:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def heartbeat(self, _progress: Progress) -> Verdict:
        return Verdict(suspend=True)

    def report_death(self, _death: Death) -> None:
        raise StoreUnavailable("away")

    def release_run(self, _reason: str) -> None:
        raise Superseded

    def close(self) -> None:
        self.closed.set()


def test_answers_and_errors_of_every_kind_come_back_and_wake():
    store, woken = Store(), threading.Semaphore(0)
    reports = ReportingThread(lambda: store, woken.release)
    assert reports.submit(lambda reporter: reporter.heartbeat(Progress())).result(5) == Verdict(suspend=True)
    with pytest.raises(StoreUnavailable):
        reports.submit(lambda reporter: reporter.report_death(Death(signal=9))).result(5)
    with pytest.raises(Superseded):
        reports.submit(lambda reporter: reporter.release_run("terminated")).result(5)
    for _ in range(3):
        assert woken.acquire(timeout=5)
    reports.close(5)
    assert store.closed.is_set()


def test_a_connection_that_fails_is_tried_again_by_the_next_call():
    tries: list[int] = []

    def make() -> Store:
        tries.append(1)
        if len(tries) < 3:
            raise StoreUnavailable("away")
        return Store()

    reports = ReportingThread(make, lambda: None)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            reports.submit(lambda reporter: reporter.heartbeat(Progress())).result(5)
    for _ in range(2):
        reports.submit(lambda reporter: reporter.heartbeat(Progress())).result(5)
    assert len(tries) == 3
    reports.close(5)


def test_nobody_waits_for_a_call_that_does_not_come_back():
    go_on = threading.Event()
    reports = ReportingThread(Store, lambda: None)
    reports.submit(lambda _reporter: go_on.wait(30))
    reports.close(0.01)
    assert reports._thread.is_alive()
    go_on.set()
    reports._thread.join(5)


@pytest.mark.parametrize(
    ("death", "text"),
    [
        (Death(exit_code=3), "exited with code 3 and left no outcome"),
        (Death(signal=11), "killed by SIGSEGV"),
        (Death(signal=9, out_of_memory=True), "killed by SIGKILL, probably out of memory"),
        (Death(signal=9, out_of_memory=None), "killed by SIGKILL: it was out of memory, or somebody killed it"),
        (Death(signal=9), "killed by SIGKILL"),
        (Death(signal=15, out_of_memory=None), "killed by SIGTERM"),
        (Death(signal=40), "killed by signal 40"),
    ],
)
def test_a_death_in_words(death: Death, text: str):
    assert str(death) == text


class Struck(BaseException):
    pass


class Silent:
    def close(self) -> None: ...


def test_calls_go_on_when_the_thread_dies() -> None:
    made: Any = Silent
    answered = threading.Event()
    reports = ReportingThread(made, answered.set)
    assert reports.submit(lambda _: 1).result(10) == 1
    [thread] = _threads()
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
    with pytest.raises(StoreUnavailable, match="the thread that reports died: Struck"):
        reports.submit(lambda _: 2).result(10)
    eventually(lambda: not thread.is_alive())
    answered.clear()
    assert reports.submit(lambda _: 3).result(10) == 3
    assert answered.wait(10)
    reports.close(10)
    eventually(lambda: not _threads())


class StruckFuture(Future[int]):
    """One that the thread dies of before it can say what came of the call."""

    def set_result(self, _result: int) -> None:
        raise Struck

    def set_exception(self, exception: BaseException | None) -> None:
        if isinstance(exception, Struck):
            raise exception
        super().set_exception(exception)


def test_a_call_in_which_the_thread_dies_is_answered_and_can_be_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A heartbeat without an answer would be the last: no other begins before."""
    made: Any = Silent
    woken = threading.Semaphore(0)
    reports = ReportingThread(made, woken.release)
    monkeypatch.setattr(reporting, "Future", StruckFuture)
    struck = reports.submit(lambda _: 1)
    monkeypatch.undo()
    with pytest.raises(StoreUnavailable, match="the thread that reports died: Struck"):
        struck.result(10)
    assert woken.acquire(timeout=10)
    assert reports.submit(lambda _: 2).result(10) == 2
    reports.close(10)
    eventually(lambda: not _threads())


def _threads() -> list[threading.Thread]:
    return [one for one in threading.enumerate() if one.name == "perdure-reports"]
