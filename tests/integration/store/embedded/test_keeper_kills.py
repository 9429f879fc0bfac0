"""The embedded database recovers from SIGKILL of anything, and has what was committed."""

from __future__ import annotations

import os
import signal
import subprocess
from functools import partial
from pathlib import Path

import psycopg
import pytest

from perdure.store.embedded import embedded
from tests.harness.embedded import EmbeddedDatabase
from tests.harness.eventually import eventually
from tests.harness.processes import Children, alive, signal_all, stopped
from tests.harness.workspace import processes_in


def _dead(pid: int) -> bool:
    return not alive(pid)


def _reached(database: EmbeddedDatabase, what: str) -> bool:
    return any(database.base.glob(f"postgres-18/{what}"))


def _kill(*pids: int) -> None:
    signal_all(pids, signal.SIGKILL)
    for pid in pids:
        eventually(partial(_dead, pid))


def test_of_a_user_whose_share_goes_with_it(database: EmbeddedDatabase):
    database.attached_user(idle=0.1).kill()
    database.gone()


def test_of_a_users_process_group_which_the_server_survives(database: EmbeddedDatabase):
    user = database.attached_user()
    server = database.server
    user.kill_group()
    with embedded.database(database.base):
        assert database.server == server
    user = database.attached_user()
    user.signal_group(signal.SIGINT)
    user.wait()
    assert database.server == server


def test_of_the_user_that_has_just_begun_to_start_the_server(unmade: EmbeddedDatabase):
    for what in ("keeper.lock", "server.log", "new-*"):
        user = unmade.user()
        eventually(partial(_reached, unmade, what), every=0.001)
        user.kill_group()
    with embedded.database(unmade.base):
        unmade.write(1)
        assert len(unmade.keepers) == 1


@pytest.mark.parametrize(
    "reached",
    ["server.log", "new-*", "new-*/global/pg_control", "new-*/base/4/PG_VERSION", "new-*/base/5/PG_VERSION", "data"],
)
def test_of_the_keeper_while_it_makes_the_data_folder(reached: str, unmade: EmbeddedDatabase):
    user = unmade.user()
    eventually(partial(_reached, unmade, reached), every=0.001)
    _kill(*unmade.keepers)
    user.wait_for_output("has", 20)  # even the one that was waiting for it
    with embedded.database(unmade.base):
        unmade.write(1)
        assert unmade.rows() == [1]
    assert list(unmade.base.glob("postgres-18/new-*")) == []


def test_of_everybody_while_the_data_folder_is_made(unmade: EmbeddedDatabase):
    user = unmade.user()
    eventually(partial(_reached, unmade, "new-*/global/pg_control"), every=0.001)
    signal_all([user.pid, *unmade.keepers, *processes_in(unmade.base)], signal.SIGKILL)
    with embedded.database(unmade.base):
        unmade.write(1)
        assert unmade.rows() == [1]


def test_of_the_server_which_comes_back_for_who_is_there(database: EmbeddedDatabase):
    with embedded.database(database.base):
        database.write(1)
        for _ in range(3):
            before = database.server
            _kill(before)
            eventually(partial(_another_server, database, before))
            assert database.rows() == [1]


def _another_server(database: EmbeddedDatabase, before: int) -> bool:
    pid, state = database.folder.server_pid()
    return pid != before and state == "ready" and database.folder.server_ready()


def test_of_the_server_which_is_there_for_the_next_command_at_once(database: EmbeddedDatabase):
    with embedded.database(database.base):
        database.write(1)
        for _ in range(5):
            os.kill(database.server, signal.SIGKILL)
            with embedded.database(database.base):
                eventually(lambda: _rows_or_none(database) == [1])


def _rows_or_none(database: EmbeddedDatabase) -> list[int] | None:
    """What is stored; None while the server that was killed a moment ago still seemed to be there."""
    try:
        return database.rows()
    except psycopg.OperationalError:
        return None


def test_of_the_server_with_a_process_of_it_that_does_not_notice(database: EmbeddedDatabase):
    with embedded.database(database.base) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            backend = connection.info.backend_pid
            os.kill(backend, signal.SIGSTOP)
            eventually(lambda: stopped(backend))
            before = database.server
            _kill(before)
            eventually(partial(_another_server, database, before), 15)
            assert not alive(backend)
        database.write(1)


def test_of_a_backend(database: EmbeddedDatabase):
    with embedded.database(database.base) as url:
        database.write(1)
        connection = psycopg.connect(url)
        os.kill(connection.info.backend_pid, signal.SIGKILL)
        connection.close()
        eventually(lambda: _rows_or_none(database) == [1])
        assert database.rows() == [1]


def test_of_the_keeper_after_which_the_server_goes(database: EmbeddedDatabase):
    database.attached_user()
    _kill(database.keeper)
    database.gone()


def test_of_the_keeper_after_which_the_next_command_just_works(database: EmbeddedDatabase):
    with embedded.database(database.base):
        database.write(1)
        for _ in range(4):
            _kill(database.keeper)
            with embedded.database(database.base):
                assert database.rows() == [1]


def test_of_the_keeper_after_which_a_user_can_have_it_started_again(database: EmbeddedDatabase):
    hold = embedded.acquire(database.base, idle=0)
    database.write(1)
    _kill(database.keeper)
    hold.ensure()
    assert database.rows() == [1]
    hold.release()
    database.gone()


def test_of_everything_at_once_after_which_all_that_was_acknowledged_is_there(
    database: EmbeddedDatabase, children: Children
):
    source = """
        import sys
        from pathlib import Path
        import psycopg
        from perdure.store.embedded import embedded

        with embedded.database(Path(sys.argv[1])) as url, psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            for n in range(int(sys.argv[2]), 10**9):
                connection.execute("INSERT INTO kept VALUES (%s)", [n])
                print(n)
    """
    acknowledged: list[int] = []
    for begin in (0, 10**6, 2 * 10**6):
        writer = children.code(source, str(database.base), str(begin))
        writer.wait_for_output(f"{begin + 200}\n", 20)
        signal_all([writer.pid, *database.keepers, *processes_in(database.base)], signal.SIGKILL)
        writer.wait()
        database.gone()  # a keeper that has yet to die of its kill would be taken for one that can be used
        acknowledged += [int(line) for line in writer.output.splitlines(keepends=True) if line.endswith("\n")]
    with embedded.database(database.base):
        assert set(acknowledged) <= set(database.rows())


def _crash(database: EmbeddedDatabase) -> Path:
    """Kill everything; returns the postmaster.pid that is left."""
    with embedded.database(database.base):
        database.write(1)
        signal_all([*database.keepers, *processes_in(database.base)], signal.SIGKILL)
        eventually(lambda: not processes_in(database.base))
    file = Path(database.folder.data, "postmaster.pid")
    assert file.exists()
    return file


def test_and_the_servers_process_id_goes_to_somebody_else(database: EmbeddedDatabase):
    stale = _crash(database)
    owner = os.stat(database.folder.data).st_uid
    stranger = subprocess.Popen(["sleep", "60"], user=None if owner == os.geteuid() else owner)
    try:
        rest = stale.read_text().partition("\n")[2]
        stale.write_text(f"{stranger.pid}\n{rest}")
        Path(f"{database.folder.socket}.lock").write_text(f"{stranger.pid}\n{rest}")
        with embedded.database(database.base):
            assert database.rows() == [1]
        assert stranger.poll() is None, "a stranger was killed"
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("content", ["", "12", "nonsense\n"])
def test_and_the_servers_pid_file_was_cut_off(content: str, database: EmbeddedDatabase):
    _crash(database).write_text(content)
    with embedded.database(database.base):
        assert database.rows() == [1]
