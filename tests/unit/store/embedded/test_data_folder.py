"""The files of the embedded database, all of which follow from its folder's path; and its locks."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from perdure.store.embedded.data_folder import Folder, lock, try_lock


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    made = Folder(str(tmp_path))
    os.makedirs(made.data)
    os.makedirs(made.socket_folder, exist_ok=True)
    yield made
    if not made.socket_folder.startswith(made.path):
        Path(made.socket).unlink(missing_ok=True)
        os.rmdir(made.socket_folder)


def pid_file(folder: Folder, text: str) -> None:
    Path(folder.data, "postmaster.pid").write_text(text)


def test_the_url_leads_to_the_socket_whatever_the_path(tmp_path: Path) -> None:
    made = Folder(str(tmp_path / "a b%?"))
    read = psycopg.conninfo.conninfo_to_dict(made.url)
    assert read["host"] == made.socket_folder
    assert made.socket == os.path.join(made.socket_folder, f".s.PGSQL.{read['port']}")


@pytest.mark.parametrize("base", ["/" + "x" * 200, "/with,comma"])
def test_a_path_that_a_socket_cannot_have_gets_a_folder_in_tmp(base: str) -> None:
    made = Folder(base)
    assert made.socket_folder.startswith(f"/tmp/perdure-{os.geteuid()}-")
    assert made.socket_folder == Folder(base).socket_folder != Folder(base + "x").socket_folder
    assert made.log.startswith(base)


def test_a_short_path_keeps_its_socket_inside() -> None:
    assert Folder("/short").socket_folder == "/short/postgres-18/run"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("17\n/data\n1\n5432\n/run\n\n  1 2\nready   \n", (17, "ready")),
        ("-17\n", (17, "")),  # in single-user mode
        ("", (None, "")),
        ("nonsense\n", (None, "")),
    ],
)
def test_the_servers_process_and_state(folder: Folder, text: str, found: tuple[int | None, str]) -> None:
    pid_file(folder, text)
    assert folder.server_pid() == found


def test_without_a_pid_file_there_is_no_server(folder: Folder) -> None:
    assert folder.server_pid() == (None, "")
    assert not folder.server_ready()


def test_a_server_is_ready_when_it_says_so_and_listens(folder: Folder) -> None:
    pid_file(folder, "17\n\n\n\n\n\n\nready\n")
    assert not folder.server_ready()
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(folder.socket)
        server.listen()
        assert folder.server_ready()
        pid_file(folder, "17\n\n\n\n\n\n\nstopping\n")
        assert not folder.server_ready()


def test_locks_are_shared_by_users_and_had_alone_by_the_keeper(tmp_path: Path) -> None:
    path = str(tmp_path / "users.lock")
    one, other = lock(path), lock(path)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.get_inheritable(one)
    assert try_lock(one, fcntl.LOCK_SH)
    assert try_lock(other, fcntl.LOCK_SH)
    assert not try_lock(other, fcntl.LOCK_EX)
    os.close(one)
    assert try_lock(other, fcntl.LOCK_EX)
    os.close(other)
