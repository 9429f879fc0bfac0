"""The store of an installation, as a test sees it: SQL by an administrator, from outside of the cluster."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
from psycopg.rows import DictRow, dict_row

from tests.cluster.cluster import Cluster

__all__ = ["Store"]

_PATIENCE = 90.0  # seconds for which a Postgres that is away is waited for


class Store:
    """Asks the Postgres behind a Service, by way of a port of this machine."""

    def __init__(self, cluster: Cluster, namespace: str, service: str, password: str) -> None:
        self._way = (cluster, namespace, f"service/{service}", 5432)
        self._forward = _Forward(*self._way)
        self._password = password

    def log_in(self, password: str) -> None:
        """Use another password from now on."""
        self._password = password

    def rows(self, sql: LiteralString, *parameters: Any) -> list[DictRow]:
        """The rows of a statement, which is asked again for as long as there is no connection."""
        ends = time.monotonic() + _PATIENCE
        while True:
            try:
                with self._connect() as connection:
                    cursor = connection.execute(sql, parameters)
                    return cursor.fetchall() if cursor.description else []
            except (psycopg.OperationalError, _NoWay):
                self._forward.close()
                if time.monotonic() > ends:
                    raise
                time.sleep(0.2)

    def steps(self, run: str) -> list[DictRow]:
        """A run's checkpoints, in the order in which they were accepted."""
        return self.rows("SELECT * FROM perdure.steps WHERE run_id = %s ORDER BY ordinal", run)

    def run(self, run: str) -> DictRow | None:
        """A run's row."""
        found = self.rows("SELECT * FROM perdure.runs WHERE id = %s", run)
        return found[0] if found else None

    def attempts(self, run: str) -> list[DictRow]:
        """A run's attempts, in order."""
        return self.rows("SELECT * FROM perdure.attempts WHERE run_id = %s ORDER BY attempt", run)

    @contextmanager
    def url(self) -> Iterator[str]:
        """Where a process of this machine reaches it, by a way of its own that is gone when the block ends."""
        forward = _Forward(*self._way)
        try:
            yield f"postgresql://perdure:{self._password}@127.0.0.1:{forward.port()}/perdure"
        finally:
            forward.close()

    def close(self) -> None:
        """Give up the port."""
        self._forward.close()

    def _connect(self) -> psycopg.Connection[DictRow]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._forward.port(),
            user="perdure",
            password=self._password,
            dbname="perdure",
            connect_timeout=5,
            autocommit=True,
            row_factory=dict_row,
        )


class _NoWay(Exception):
    """kubectl could not open the way."""


class _Forward:
    """`kubectl port-forward`, begun anew once it has ended: it ends with the pod to which it leads."""

    def __init__(self, cluster: Cluster, namespace: str, target: str, port: int) -> None:
        self._command = [
            cluster.kubectl,
            f"--kubeconfig={cluster.kubeconfig}",
            f"--namespace={namespace}",
            "port-forward",
            "--address=127.0.0.1",
            target,
            f":{port}",
        ]
        self._process: subprocess.Popen[str] | None = None
        self._port = 0
        self._lock = threading.Lock()

    def port(self) -> int:
        """The port of this machine."""
        with self._lock:
            return self._opened()

    def close(self) -> None:
        with self._lock:
            self._close()

    def _opened(self) -> int:
        if self._process is None or self._process.poll() is not None:
            self._close()
            self._process = subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
            )
            assert self._process.stdout is not None
            line = self._process.stdout.readline()
            if not (found := re.match(r"Forwarding from 127\.0\.0\.1:(\d+)", line)):
                raise _NoWay(line)
            self._port = int(found[1])
        return self._port

    def _close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
