"""Embedded databases of the test alone, and a workspace of its own, which this process's servers belong to.

And `perdure postgres`, on a port and with a folder of its own.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.harness.embedded import EmbeddedDatabase
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.workspace import VARIABLE, Workspace

Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """The folder of this test; what it starts is found by it."""
    with Workspace() as workspace:
        monkeypatch.setenv(VARIABLE, str(workspace.folder))
        yield workspace


@pytest.fixture
def children(workspace: Workspace) -> Iterator[Children]:
    """Starts processes that end with the test."""
    children = Children(workspace)
    yield children
    children.close()


@pytest.fixture
def unmade(workspace: Workspace, children: Children) -> EmbeddedDatabase:
    """A database whose data folder nobody has made yet."""
    return EmbeddedDatabase(workspace.new_folder("db"), children)


@pytest.fixture
def database(unmade: EmbeddedDatabase) -> EmbeddedDatabase:
    """A database whose data folder is made."""
    unmade.fill()
    return unmade


@pytest.fixture
def home() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="perdure-network-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def settings(home: Path, port: int) -> dict[str, str]:
    """The environment of a server."""
    return {
        "PATH": os.environ["PATH"],
        "PERDURE_POSTGRES_DATA": str(home / "data"),
        "PERDURE_POSTGRES_PASSWORD": "owner's",
        "PERDURE_POSTGRES_POD_PASSWORD": "pods'",
        "PERDURE_POSTGRES_LISTEN": str(port),
    }


@pytest.fixture
def serve(settings: dict[str, str]) -> Iterator[Serve]:
    """Starts it; it ends with the test."""
    started: list[subprocess.Popen[str]] = []

    def start(**variables: str) -> subprocess.Popen[str]:
        environment = settings | variables
        # Root here is somebody else in there, who can still read what belongs to root here.
        somebody = ["unshare", "--user", "--map-user=65534", "--map-group=65534", "--"] if os.geteuid() == 0 else []
        process = subprocess.Popen(
            [*somebody, sys.executable, "-m", "perdure.cli", "postgres"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        print(process.communicate(timeout=30)[0])


def url(port: int, user: str = "perdure", password: str = "owner's") -> str:
    return psycopg.conninfo.make_conninfo(
        host="127.0.0.1", port=port, user=user, password=password, dbname="perdure", connect_timeout=5
    )


def until_up(port: int, password: str = "owner's") -> None:
    def answers() -> bool:
        try:
            psycopg.connect(url(port, password=password)).close()
        except psycopg.OperationalError as error:
            raise AssertionError(str(error)) from error
        return True

    eventually(answers, deadline=30)
