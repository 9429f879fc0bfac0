"""The embedded database of the commands, used from programs."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from perdure import Client, Worker
from perdure.errors import UsageError
from perdure.store.embedded.data_folder import Folder
from tests.harness.eventually import eventually
from tests.harness.processes import Child, Children, alive, descendants, signal_all
from tests.integration.cli.conftest import Cli

START = """
    from perdure import Client
    with Client(local=True) as client:
        print(client.start("flows:counting", id="x", input={"n": 2}).result(30))
"""


@pytest.fixture
def local(cli: Cli) -> Cli:
    """The command line with an embedded database of its own."""
    del cli.environment["PERDURE_DATABASE_URL"]
    cli.environment |= {"PERDURE_DATABASE_URL": None, "PERDURE_DATA_DIR": str(cli.folder / "data")}
    cli.environment["PERDURE_IDLE_SECONDS"] = "1"
    return cli


def program(local: Cli, children: Children, text: str) -> Child:
    (local.folder / "program.py").write_text(textwrap.dedent(text))
    return children.start([sys.executable, "program.py"], cwd=local.folder, env=local.environment)


def folder_of(local: Cli) -> Folder:
    return Folder(os.path.realpath(local.folder / "data"))


def server_of(local: Cli) -> list[int]:
    """The keeper of the embedded database, its server and the server's processes."""
    server, _ = folder_of(local).server_pid()
    assert server is not None
    keeper = int(Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[1])
    return [keeper, *descendants(keeper)]


def test_a_client_finds_the_database_of_the_commands(local: Cli, children: Children) -> None:
    worker = local.start("worker", "flows.py")
    started = program(local, children, START)

    assert started.wait(40) == 0, started.errors
    assert "'sum': 1" in started.output
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0
    assert local.document("show", "x")["state"] == "succeeded"


def test_after_the_machine_has_crashed(local: Cli, children: Children) -> None:
    # The server must not stop by itself before it is killed.
    local("run", "flows.py:counting", "--id", "x", "--input", '{"n": 2}', PERDURE_IDLE_SECONDS="60")
    everybody = server_of(local)
    signal_all(everybody, signal.SIGKILL)

    started = program(local, children, START)

    assert started.wait(40) == 0, started.errors
    assert "'sum': 1" in started.output


def test_client_and_worker_start_the_server_again_when_it_was_killed(local: Cli, children: Children) -> None:
    worker = local.start("worker", "flows.py")
    started = program(
        local,
        children,
        """
        import os, time
        from perdure import Client
        with Client(local=True) as client:
            for name in ("a", "b"):
                print(client.start("flows:counting", id=name, input={"n": 2}).result(50), flush=True)
                while not os.path.exists("killed"):
                    time.sleep(0.01)
        """,
    )
    started.wait_for_output("'sum': 1", 30)
    signal_all(server_of(local), signal.SIGKILL)
    (local.folder / "killed").touch()

    assert started.wait(55) == 0, started.errors
    assert started.output.count("'sum': 1") == 2
    assert worker.running()


def test_a_forked_child_outlives_its_parent(local: Cli, children: Children) -> None:
    started = program(
        local,
        children,
        """
        import os, time
        from perdure import Client
        client = Client(local=True)
        client.start("flows:counting", id="x")
        if os.fork() == 0:
            while os.getppid() != 1 and not os.path.exists("gone"):
                time.sleep(0.01)
            client.get("x")
            open("ready", "w").close()
            while not os.path.exists("go"):
                time.sleep(0.01)
            open("found", "w").write(client.get("x").state)
        """,
    )
    assert started.wait(30) == 0, started.errors
    (local.folder / "gone").touch()
    eventually((local.folder / "ready").exists, 20)
    [keeper, *_] = server_of(local)
    with pytest.raises(AssertionError):
        eventually(lambda: not alive(keeper), 3)  # three times as long as it would outlive its last user
    (local.folder / "go").touch()

    eventually(lambda: (local.folder / "found").exists() and (local.folder / "found").read_text() == "pending", 20)
    eventually(lambda: not alive(keeper), 20)


def test_the_url_for_other_programs(local: Cli, children: Children) -> None:
    local("run", "flows.py:counting", "--id", "x")
    started = program(
        local,
        children,
        """
        import perdure, psycopg
        with perdure.local_database() as url, psycopg.connect(url) as connection:
            print(connection.execute("SELECT name FROM perdure.runs").fetchall())
        """,
    )

    assert started.wait(40) == 0, started.errors
    assert started.output == "[('x',)]\n"


def test_a_database_that_is_named_is_used(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    url = cli.environment["PERDURE_DATABASE_URL"]
    assert url is not None
    monkeypatch.setenv("PERDURE_DATABASE_URL", url)
    monkeypatch.setenv("PERDURE_DATA_DIR", "/dev/null/nowhere")
    with Client(local=True) as client:
        assert client.list() == []


def test_without_a_database_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)
    for make in (Client, Worker):
        with pytest.raises(UsageError, match="with local=True the embedded database is used"):
            make()
