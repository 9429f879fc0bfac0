"""The embedded database is shared, starts for whoever comes first, and goes when nobody uses it any more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier, Event

import psycopg
import pytest

from perdure.errors import UsageError
from perdure.store.embedded import embedded
from tests.harness.embedded import EmbeddedDatabase
from tests.harness.eventually import eventually
from tests.harness.processes import Children, alive
from tests.harness.workspace import Workspace


def test_a_table_without_a_schema_does_not_come_into_ours(workspace: Workspace, children: Children):
    database = EmbeddedDatabase(workspace.new_folder("db"), children)
    with embedded.database(database.base, idle=0) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE SCHEMA IF NOT EXISTS perdure")
        connection.execute("CREATE TABLE accounts (name text)")
        found = connection.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'accounts'")
        assert found.fetchall() == [("public",)]


def test_data_outlive_the_command_and_the_server(workspace: Workspace, children: Children):
    database = EmbeddedDatabase(workspace.new_folder("db"), children)
    with embedded.database(database.base, idle=0) as url:
        assert url == database.folder.url
        database.write(1, 2)
    database.gone()
    with embedded.database(database.base, idle=0):
        assert database.rows() == [1, 2]


def test_commands_that_come_at_the_same_instant_share_one_server(workspace: Workspace, children: Children):
    database = EmbeddedDatabase(workspace.new_folder("db"), children)
    users = [database.user() for _ in range(4)]
    for user in users:
        user.wait_for_output(f"has {database.folder.url}", 20)
    assert len(database.keepers) == 1
    assert database.starts() == 1


def test_threads_that_come_at_the_same_instant_share_one_server(workspace: Workspace, children: Children):
    for made in (False, True, True):
        database = EmbeddedDatabase(workspace.new_folder("db"), children)
        if made:
            database.fill()
        barrier = Barrier(8)

        def use(database: EmbeddedDatabase, barrier: Barrier) -> int:
            barrier.wait()
            with embedded.database(database.base):
                return database.server

        with ThreadPoolExecutor(8) as threads:
            servers = {future.result() for future in [threads.submit(use, database, barrier) for _ in range(8)]}
        assert servers == {database.server}
        assert database.starts() == 1


def test_an_attach_to_a_running_server_starts_no_process_and_is_fast(
    database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch
):
    with embedded.database(database.base):
        monkeypatch.setattr(subprocess, "Popen", None)
        began = time.perf_counter()
        with embedded.database(database.base):
            assert time.perf_counter() - began < 1  # measured: 0.3 ms


def test_the_server_keeps_what_it_acknowledged_and_is_reached_by_its_socket_alone(database: EmbeddedDatabase):
    with embedded.database(database.base) as url, psycopg.connect(url) as connection:
        for setting, value in {
            "fsync": "on",
            "synchronous_commit": "on",
            "full_page_writes": "on",
            "listen_addresses": "",
            "timezone": "UTC",
            "jit": "off",
        }.items():
            assert connection.execute(f"SHOW {setting}").fetchone() == (value,)
        found = connection.execute("SELECT current_user, current_database()").fetchone()
    assert found == ("perdure", "perdure")
    assert os.stat(database.folder.data).st_mode & 0o777 == 0o700
    assert os.stat(database.folder.socket_folder).st_mode & 0o777 == 0o700


def test_it_stays_while_one_user_is_there_and_no_process_is_left_after(database: EmbeddedDatabase):
    first, second = database.attached_user(idle=0.2), database.attached_user(idle=0.2)
    server = database.server
    first.kill()
    assert not Event().wait(1.0)
    assert database.server == server
    second.kill()
    database.gone()
    assert "database system is shut down" in Path(database.folder.log).read_text()
    assert database.starts() == 1


def test_use_between_two_looks_of_the_keeper_counts(database: EmbeddedDatabase):
    with embedded.database(database.base, idle=0.8):
        server = database.server
    for _ in range(40):
        with embedded.database(database.base, idle=0.8):
            assert database.server == server
        Event().wait(0.05)


def _no_longer_ready(database: EmbeddedDatabase, server: int) -> bool:
    return database.folder.server_pid() != (server, "ready")


def test_who_comes_while_the_server_stops_gets_a_running_one(database: EmbeddedDatabase):
    for _ in range(5):
        hold = embedded.acquire(database.base, idle=0)
        server = database.server
        hold.release()
        eventually(partial(_no_longer_ready, database, server), every=0.0005)
        with embedded.database(database.base, idle=0) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert database.server != server


def test_arrivals_around_the_end_of_the_idle_time_all_get_a_running_server(database: EmbeddedDatabase):
    for step in range(30):
        with embedded.database(database.base, idle=0.05) as url, psycopg.connect(url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        Event().wait(0.04 + step * 0.002)
    assert database.starts() > 1, "no arrival met a stopping server"


def test_a_pipeline_ends_with_its_command(database: EmbeddedDatabase, workspace: Workspace):
    script = workspace.new_folder("script") / "main.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom perdure.store.embedded import embedded\n"
        "with embedded.database(Path(sys.argv[1]), idle=20) as url:\n    print('had', url)\n"
    )
    line = f"{sys.executable} {script} {database.base} | cat"
    ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=15, check=True)
    assert ended.stdout == f"had {database.folder.url}\n"
    assert ended.stderr == ""
    keeper = database.keeper
    assert alive(database.server)
    for descriptor in (0, 1):
        assert os.readlink(f"/proc/{keeper}/fd/{descriptor}") == "/dev/null"
    assert os.getsid(keeper) != os.getsid(0)
    os.kill(keeper, signal.SIGTERM)
    database.gone()


def test_a_forked_child_is_no_user(database: EmbeddedDatabase, children: Children):
    source = """
        import os, signal, sys
        from pathlib import Path
        from perdure.errors import UsageError
        from perdure.store.embedded import embedded

        hold = embedded.acquire(Path(sys.argv[1]), idle=0.2)
        if os.fork() == 0:
            try:
                hold.ensure()
            except UsageError:
                print("child of", os.getppid(), "has no hold")
            signal.pause()
        signal.pause()
    """
    parent = children.code(source, str(database.base))
    parent.wait_for_output("has no hold")
    (child,) = [pid for pid in parent.descendants() if pid not in database.keepers and pid != database.server]
    assert not Event().wait(0.6)
    assert database.server, "a child that closes its copy must not release its parent's lock"
    parent.kill()
    eventually(lambda: not database.keepers)
    assert alive(child)


def test_a_server_that_was_told_to_stop_leaves_nobody_behind(database: EmbeddedDatabase):
    database.attached_user()
    os.kill(database.keeper, signal.SIGTERM)
    database.gone()


def test_a_server_whose_folder_was_removed_goes(database: EmbeddedDatabase):
    database.attached_user(idle=0.2)
    shutil.rmtree(database.folder.path, ignore_errors=True)  # the server may be writing a file just then
    database.gone()


def test_the_log_does_not_grow_without_end(database: EmbeddedDatabase):
    log = Path(database.folder.log)
    with embedded.database(database.base, idle=0.2):
        with log.open("ab") as file:
            file.write(b"words\n" * 2**20)
        eventually(lambda: log.stat().st_size < 2**20)
        assert Path(f"{log}.1").stat().st_size > 2**20
        database.write(1)
    database.gone()
    assert "database system is shut down" in log.read_text()


def test_a_path_too_long_for_a_socket(workspace: Workspace, children: Children):
    long = EmbeddedDatabase(workspace.new_folder("db") / ("x" * 120), children)
    with embedded.database(long.base, idle=0) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert os.stat(long.folder.socket_folder).st_mode & 0o777 == 0o700
    long.gone()
    assert not os.path.exists(long.folder.socket_folder)


@pytest.mark.parametrize("name", ["""a "b" & 'c' 100%?ü""", "with, comma"])
def test_a_path_that_needs_quoting(name: str, workspace: Workspace, children: Children):
    odd = EmbeddedDatabase(workspace.new_folder("db") / name, children)
    with embedded.database(odd.base, idle=0) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    odd.gone()


def test_variables_meant_for_other_servers_do_not_matter(database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PGPORT", "7")
    monkeypatch.setenv("PGDATA", "/nowhere")
    with embedded.database(database.base) as url, psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_released_hold_does_not_start_a_server(database: EmbeddedDatabase):
    hold = embedded.acquire(database.base, idle=0)
    hold.release()
    with pytest.raises(UsageError, match="released"):
        hold.ensure()


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_an_idle_time_that_is_none(value: str, database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PERDURE_IDLE_SECONDS", value)
    with pytest.raises(UsageError, match="PERDURE_IDLE_SECONDS"), embedded.database(database.base):
        pass


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({"PERDURE_DATA_DIR": "/a", "XDG_DATA_HOME": "/b"}, "/a"),
        ({"PERDURE_DATA_DIR": "", "XDG_DATA_HOME": "/b"}, "/b/perdure"),
        ({"XDG_DATA_HOME": "not/absolute"}, "/home/of/mine/.local/share/perdure"),
        ({}, "/home/of/mine/.local/share/perdure"),
    ],
)
def test_where_data_are_kept(environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/home/of/mine")
    assert embedded.data_folder(environment) == Path(folder)
