"""`perdure postgres`: the embedded Postgres as a server that others reach."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from perdure.store.schema.migrate import migrate
from tests.harness.eventually import eventually

from .conftest import Serve, until_up, url


def test_both_logins_and_nobody_else(serve: Serve, port: int) -> None:
    serve()
    until_up(port)
    database_url = f"postgresql://perdure:owner's@127.0.0.1:{port}/perdure"
    migrate(database_url, pod_role="perdure_pods")
    pods = psycopg.connect(url(port, "perdure_shared", "pods'"))
    with pods, pytest.raises(psycopg.errors.InsufficientPrivilege):
        pods.execute("SELECT * FROM perdure.runs")
    with psycopg.connect(url(port, "perdure_shared", "pods'"), autocommit=True) as pods:
        pods.execute("CREATE TABLE books (account text)")
        found = pods.execute("SELECT schemaname FROM pg_tables WHERE tablename = 'books'")
        assert found.fetchall() == [("perdure_shared",)]
        for refused in (
            "CREATE TABLE perdure.books (account text)",
            "CREATE TEMPORARY TABLE books (account text)",
            "CREATE SCHEMA bank",
            "SELECT pg_advisory_lock(1)",
            "SELECT lo_create(1)",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                pods.execute(refused)
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url(port, "perdure_shared", "pods'"), dbname="postgres")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url(port, password="another"))
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url(port, "postgres", "guess"))


def test_a_connection_that_does_not_log_in_ends_soon(serve: Serve, port: int) -> None:
    serve()
    until_up(port)
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=30) as stalled:
        told = b"user\0nobody\0database\0perdure\0\0"
        stalled.sendall(struct.pack("!ii", 8 + len(told), 3 << 16) + told)
        while stalled.recv(4096):  # it asks for a password, and then gives up
            pass
    assert time.monotonic() - began < 20  # Postgres's own limit is a minute


def test_told_to_stop_it_stops_in_order_whoever_is_connected(serve: Serve, port: int) -> None:
    process = serve()
    until_up(port)
    with psycopg.connect(url(port), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        process.send_signal(signal.SIGTERM)
        assert process.wait(15) == 0
    serve()
    until_up(port)
    with psycopg.connect(url(port)) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.parametrize("crash", [False, True])
def test_each_start_sets_the_passwords_that_it_is_told(serve: Serve, port: int, home: Path, *, crash: bool) -> None:
    process = serve()
    until_up(port)
    if crash:
        os.kill(int((home / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    else:
        process.terminate()
    process.communicate(timeout=15)
    serve(PERDURE_POSTGRES_PASSWORD="o'ther \\", PERDURE_POSTGRES_POD_PASSWORD="pods' new")
    until_up(port, password="o'ther \\")
    psycopg.connect(url(port, "perdure_shared", "pods' new")).close()
    for user, old in (("perdure", "owner's"), ("perdure_shared", "pods'")):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(url(port, user, old))


def test_killed_while_it_makes_its_data_it_makes_them_anew(serve: Serve, port: int, home: Path) -> None:
    process = serve()
    eventually((home / "data.new" / "base").exists, deadline=20)
    os.killpg(process.pid, signal.SIGKILL)  # as a container ends: all at once
    process.communicate(timeout=10)
    assert not (home / "data").exists()
    serve()
    until_up(port)


def test_a_folder_that_was_opened_to_a_group_is_closed_again(serve: Serve, port: int, home: Path) -> None:
    first = serve()
    until_up(port)
    first.terminate()
    assert first.wait(15) == 0
    (home / "data").chmod(0o2770)  # as a kubelet does for fsGroup, whenever a pod with the volume starts
    serve()
    until_up(port)


def test_what_is_missing_is_named(serve: Serve) -> None:
    process = serve(PERDURE_POSTGRES_PASSWORD="", PERDURE_POSTGRES_LISTEN="five")
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 64
    assert "PERDURE_POSTGRES_PASSWORD is not set" in said
    assert "PERDURE_POSTGRES_LISTEN is 'five'" in said


def test_a_password_of_two_lines_is_refused(serve: Serve) -> None:
    process = serve(PERDURE_POSTGRES_POD_PASSWORD="one\n")
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 64
    assert "PERDURE_POSTGRES_POD_PASSWORD is not one line" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="not root")
def test_root_is_refused(home: Path) -> None:
    variables = {
        "PATH": os.environ["PATH"],
        "PERDURE_POSTGRES_DATA": str(home / "data"),
        "PERDURE_POSTGRES_PASSWORD": "a",
        "PERDURE_POSTGRES_POD_PASSWORD": "b",
    }
    done = subprocess.run(
        [sys.executable, "-m", "perdure.cli", "postgres"], env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 69
    assert "does not run as root" in done.stderr
