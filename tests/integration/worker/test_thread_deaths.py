"""A worker one of whose threads dies of an error ends, says so, and its runs go on in another at once."""

from __future__ import annotations

import ctypes
import logging
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import perdure
from perdure import step, workflow
from perdure.client import Client
from perdure.errors import WorkerFailed
from perdure.store.workers.claims import Claimed, Claims
from perdure.worker import Worker
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.scale import SCALE
from tests.integration.worker.fleet import LEASE, Fleet

gate = threading.Event()


class Struck(BaseException):
    """What ends a thread here; past every `except Exception`."""


@step
def wait_at_the_gate() -> None:
    gate.wait(30)


@step
def quick() -> int:
    return 1


@step
async def async_quick() -> int:
    return 1


@workflow
def waiting() -> None:
    wait_at_the_gate()


@workflow
def short() -> int:
    return quick()


@workflow
async def async_short() -> int:
    return await async_quick()


@workflow
def in_threads() -> list[None]:
    with perdure.ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: wait_at_the_gate(), range(2)))


WORKFLOWS = [waiting, short, async_short, in_threads]


Make = Callable[..., Worker]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes workers, which are stopped before their database is dropped."""
    made: list[Worker] = []

    def one(url: str, **options: Any) -> Worker:
        made.append(Worker(url, workflows=WORKFLOWS, **options))
        return made[-1]

    gate.clear()
    yield one
    gate.set()
    for worker in made:
        with suppress(WorkerFailed):
            worker.stop()


def _strike(name: str) -> None:
    """Have a thread raise at its next line of Python."""
    [thread] = [one for one in threading.enumerate() if one.name == name]
    number = ctypes.c_ulong(eventually(lambda: thread.ident or 0))
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(Struck)) == 1


def _cancel_something(client: Client) -> None:
    client.start(waiting, id="other")
    eventually(lambda: client.get("other").state == "running")
    client.cancel("other")


# What each does next, for it is in a call that Python does not interrupt.
NEXT: dict[str, Callable[[Client], object]] = {
    "perdure-worker": lambda client: client.start(short, id="poke"),
    "perdure-notifications": lambda client: client.start(short, id="poke"),
    "perdure-loop": lambda client: client.start(async_short, id="poke"),
    "perdure-worker-endings": lambda client: client.start(short, id="poke"),
    "perdure-heartbeat": _cancel_something,
}


def _warm_up(client: Client) -> None:
    """Let the threads begin that begin with their first work."""
    for workflow_ in (short, async_short):
        client.start(workflow_, id=f"first-{workflow_.__name__}").result(timeout=10)


@pytest.mark.parametrize("name", NEXT)
def test_thread_that_dies(database: Database, make: Make, name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "perdure.worker")
    # At once, and not because a lease is over; but this thread does something only with a heartbeat.
    worker = make(database.url, lease=4 if name == "perdure-heartbeat" else 60)
    with Client(database.url) as client:
        worker.start()
        assert worker.failure is None
        _warm_up(client)
        client.start(waiting, id="held")
        eventually(lambda: client.get("held").state == "running")
        _strike(name)
        NEXT[name](client)
        failure = eventually(lambda: worker.failure)
        assert failure is not None
        assert isinstance(failure.__cause__, Struck)
        [(state, crashes, process)] = database.query(
            "SELECT state, crashes, process FROM perdure.runs WHERE name = 'held'"
        )
        assert (state, crashes, process) == ("pending", 1, None)
        assert database.query("SELECT id FROM perdure.processes") == []
        [(detail,)] = database.query(
            "SELECT detail FROM perdure.attempts a JOIN perdure.runs r ON r.id = a.run_id WHERE r.name = 'held'"
        )
        assert "ended by an error of its own: Struck" in detail
        assert "ended by an error of its own: Struck" in caplog.text
        with pytest.raises(WorkerFailed, match="Struck"):
            worker.stop()
        assert worker.failure is None
        gate.set()
        # The worker is what it was before it started, and may be started anew.
        with worker:
            client.start(waiting, id="held").result(timeout=10)


def test_an_error_inside_of_a_call_that_holds_a_lock(
    database: Database, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `Popen.poll` holds when an error strikes it, nobody ever frees."""
    held: list[subprocess.Popen[bytes]] = []

    def poll(process: subprocess.Popen[bytes]) -> None:
        if threading.current_thread().name == "perdure-worker" and not held:
            held.append(process)
            process._waitpid_lock.acquire()  # type: ignore[attr-defined]
            raise Struck

    worker = make(database.url)
    with Client(database.url) as client:
        worker.start()
        monkeypatch.setattr(subprocess.Popen, "poll", poll)
        client.start(waiting, id="held")
        eventually(lambda: worker.failure)
        assert client.get("held").state == "pending"
        monkeypatch.undo()
        held[0]._waitpid_lock.release()  # type: ignore[attr-defined]
        assert held[0].wait(5) is not None


LINES = 880
"""Of Python, at least, that the worker's thread executes between the claim of a run and its next wait but one."""


@pytest.mark.parametrize("line", range(7, LINES, 80 // SCALE or 1))
def test_wherever_an_error_strikes_the_worker_ends(
    database: Database, make: Make, monkeypatch: pytest.MonkeyPatch, line: int
) -> None:
    left = -1  # not yet to be counted

    def trace(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal left
        if event == "line" and left >= 0:
            left -= 1
            if left < 0:
                raise Struck
        return trace

    def begin(frame: FrameType, event: str, argument: object) -> Any:
        return trace(frame, event, argument) if threading.current_thread().name == "perdure-worker" else None

    def claim(claims: Claims, *arguments: Any) -> Claimed:
        nonlocal left
        got = whole(claims, *arguments)
        if got.runs and left < 0:
            left = line
        return got

    whole = Claims.claim
    monkeypatch.setattr(Claims, "claim", claim)
    worker = make(database.url, lease=60)
    with Client(database.url) as client:
        threading.settrace(begin)
        try:
            worker.start()
        finally:
            threading.settrace(None)
        client.start(waiting, id="held")
        eventually(lambda: worker.failure)
        assert client.get("held").state == "pending"


def test_thread_that_takes_over(fleet: Fleet, make: Make) -> None:
    """It begins with the first death that is seen, and here it dies with the second one."""
    others = [fleet.worker(lease=60, queue=f"other-{n}") for n in range(3)]
    for n in range(3):
        fleet.client.start("flows:gated", id=f"run-{n}", input={"gate": "gate"}, queue=f"other-{n}")
    fleet.wait_for("at the gate", 3)
    fleet.database.query("UPDATE perdure.runs SET owner = 'queue:default'")
    fleet.database.query("UPDATE perdure.processes SET owner = 'queue:default'")
    worker = make(fleet.database.url, lease=4)
    worker.start()
    others[0].kill_group()
    eventually(lambda: fleet.states() == {"pending": 1, "running": 2})
    _strike("perdure-takeover")
    others[1].kill_group()
    failure = eventually(lambda: worker.failure)
    assert failure is not None
    assert isinstance(failure.__cause__, Struck)
    with pytest.raises(WorkerFailed):
        worker.stop()
    # What it did not give back, another one does.
    make(fleet.database.url, lease=4).start()
    eventually(lambda: fleet.states() == {"pending": 2, "running": 1})


def test_thread_in_which_a_client_waits(database: Database, make: Make) -> None:
    make(database.url).start()
    with Client(database.url) as client:
        run = client.start(waiting, id="held")
        with ThreadPoolExecutor(1) as pool:
            result = pool.submit(run.result, 20)
            eventually(lambda: [one for one in threading.enumerate() if one.name == "perdure-endings"])
            _strike("perdure-endings")
            with pytest.raises(Struck):
                result.result(20)
        gate.set()
        assert run.result(timeout=10) is None, "in another thread"


def test_thread_that_watches_a_runs_threads(database: Database, make: Make) -> None:
    """It is the run's, and ends no worker."""
    worker = make(database.url)
    with Client(database.url) as client:
        worker.start()
        run = client.start(in_threads, id="watched")
        eventually(lambda: client.show("watched").run.state == "running")
        eventually(lambda: [one for one in threading.enumerate() if one.name == "perdure-thread-watch"])
        _strike("perdure-thread-watch")
        # Its last act ends the attempt, and the run must not be done before that.
        eventually(lambda: not [one for one in threading.enumerate() if one.name == "perdure-thread-watch"])
        gate.set()
        assert run.result(timeout=20) == [None, None]
        assert worker.failure is None
        endings = database.query("SELECT ending, detail FROM perdure.attempts ORDER BY attempt")
    assert [ending for ending, _ in endings] == ["released", "completed"]
    assert "the thread that watches its threads died" in endings[0][1]


def test_what_dies_with_the_worker(database: Database, make: Make) -> None:
    """Neither its threads nor its heartbeat go on."""
    before = set(threading.enumerate())
    worker = make(database.url)
    with Client(database.url) as client:
        worker.start()
        _warm_up(client)
        _strike("perdure-worker")
        client.start(short, id="poke")
        eventually(lambda: worker.failure)
        with pytest.raises(WorkerFailed):
            worker.stop()
    eventually(lambda: not {one for one in set(threading.enumerate()) - before if one.name.startswith("perdure-")})


def test_run_ends_with_the_error(database: Database, make: Make) -> None:
    worker = make(database.url)
    seen: list[BaseException] = []

    def work() -> None:
        with pytest.raises(WorkerFailed) as raised:
            worker.run()
        seen.append(raised.value)

    thread = threading.Thread(target=work)
    thread.start()
    eventually(lambda: [one for one in threading.enumerate() if one.name == "perdure-worker"])
    _strike("perdure-worker")
    thread.join(20)
    assert isinstance(seen[0].__cause__, Struck)


def test_store_away_while_the_worker_fails(own_fleet: Fleet, make: Make) -> None:
    """Its heartbeat's process gives the runs back once the store answers."""
    worker = make(own_fleet.database.url, lease=60)
    own_fleet.client.start(waiting, id="held")
    worker.start()
    eventually(lambda: own_fleet.states() == {"running": 1})
    own_fleet.client.close()
    own_fleet.database.server.stop()
    _strike("perdure-worker")
    eventually(lambda: worker.failure, deadline=30)
    own_fleet.database.server.start()
    eventually(lambda: own_fleet.states() == {"pending": 1}, deadline=LEASE + 10)
    with pytest.raises(WorkerFailed):
        worker.stop()


def test_perdure_worker_exits_with_a_message(fleet: Fleet, children: Children, tmp_path: Path) -> None:
    (tmp_path / "striking.py").write_text(STRIKING)
    run = fleet.client.start("striking:striking", id="striking", input={})
    place = {"PERDURE_DATABASE_URL": fleet.database.url, "STRUCK": str(tmp_path / "struck")}
    command = children.module("perdure.cli", "worker", "striking.py", env=place, cwd=tmp_path)
    assert command.wait(20) == 1
    assert "perdure worker: the worker ended by an error of its own (Struck())" in command.errors
    assert fleet.attempts() == [(1, "crashed")]
    assert command.descendants() == []
    again = children.module("perdure.cli", "worker", "striking.py", env=place, cwd=tmp_path)
    assert run.result(timeout=30) == "well"
    assert again.running()


STRIKING = """
import ctypes, os, threading
from perdure import step, workflow

class Struck(BaseException):
    pass

@step
def strike() -> str:
    if os.path.exists(os.environ["STRUCK"]):
        return "well"
    open(os.environ["STRUCK"], "w").close()
    [thread] = [one for one in threading.enumerate() if one.name == "perdure-worker"]
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Struck))
    threading.Event().wait()

@workflow
def striking() -> str:
    return strike()
"""
