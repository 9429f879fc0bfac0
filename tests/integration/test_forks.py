"""Programs that fork: servers that load before they fork, multiprocessing, and children that outlive their parents."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import alive

PROGRAM = Path(__file__).parent / "forked.py"


def start(case: str, database: Database) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), case, database.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def lines_of(program: subprocess.Popen[str], code: int = 0) -> list[str]:
    """What the program prints up to its end; nothing is to be complained of."""
    output, errors = program.communicate(timeout=60)
    assert (program.returncode, errors) == (code, "")
    return output.splitlines()


def test_parent_and_children_go_on(database: Database) -> None:
    said = lines_of(start("both_go_on", database))

    assert sorted(said) == ["child 30"] * 3 + ["codes [0, 0, 0]", "parent 30", "parent 30"]


def test_each_side_closes_its_own(database: Database) -> None:
    with start("a_client_is_closed_on_one_side", database) as program:
        assert program.stdin is not None
        program.stdin.write("go\n")

        assert lines_of(program) == ["child 30", "code 0", "parent 30", "ready", "child 30", "code 0"]


def test_a_fork_in_the_midst_of_a_call_of_another_thread(database: Database) -> None:
    with start("in_the_midst_of_a_call", database) as program, database.connect() as session:
        assert program.stdin is not None
        assert program.stdout is not None
        assert program.stdout.readline() == "lock\n"
        with session.transaction():
            session.execute("LOCK TABLE perdure.runs")
            program.stdin.write("locked\n")
            program.stdin.flush()
            assert program.stdout.readline() == "asked\n"
            waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            eventually(lambda: database.query(waits))
            program.stdin.write("waits\n")
            program.stdin.flush()
            assert program.stdout.readline() == "forked\n"

        assert lines_of(program) == ["child 30", "code 0", "parent 30"]


def test_a_fork_while_a_result_is_waited_for(database: Database) -> None:
    [child, parent] = lines_of(start("while_a_result_is_waited_for", database))

    assert child.startswith("child ")
    assert parent == "code 0 True"


def test_processes_of_multiprocessing(database: Database) -> None:
    assert lines_of(start("pool_of_processes", database)) == ["pool [30, 30, 30, 30]", "parent 30"]


def test_a_worker_stays_in_the_process_that_started_it(database: Database) -> None:
    said = lines_of(start("beside_a_worker", database))

    assert said == ["own True", "child ends", "code 0", "child True", "code 0", "own True"]


def test_a_pool_of_processes_ends_in_a_worker(database: Database) -> None:
    assert lines_of(start("a_pool_in_a_step_of_a_worker", database)) == ["[2, 4, 8]", "stopped"]


def test_the_server_sees_the_death_of_a_parent_whose_child_lives(database: Database) -> None:
    with start("a_child_outlives_its_parent", database) as program:
        assert program.stdout is not None
        child = int(program.stdout.readline().split()[-1])
        sessions = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        try:
            assert database.query(sessions)
            program.kill()
            program.wait()

            # The heartbeat's process has the runs to give back, and then goes, too.
            eventually(lambda: not database.query(sessions), 10)
            assert alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.fixture(autouse=True)
def _no_url_of_our_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)
