"""PgBouncer in transaction mode in front of a Server, as the old one in Debian is: no prepared statements."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlencode

import psycopg

from .eventually import eventually
from .installations import hand_over, run_as
from .postgres import PORT, SUPERUSER, Server
from .unavailable import unavailable

_CONFIGURATION = """
[databases]
* = host={server} port={server_port}

[pgbouncer]
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 1000
unix_socket_dir = {folder}
listen_addr =
listen_port = {port}
auth_type = trust
auth_file = {folder}/users
auth_user = {superuser}
auth_query = SELECT usename, passwd FROM pg_catalog.pg_shadow WHERE usename = $1
"""


class PgBouncer:
    """A running PgBouncer; its pool has `pool_size` server connections for each database and role."""

    def __init__(self, server: Server, *, pool_size: int = 4) -> None:
        program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
        if program is None:
            unavailable("PgBouncer (Debian: apt-get install pgbouncer)")
        self.folder = folder = server.workspace.new_folder("bouncer")
        hand_over(folder)
        (folder / "users").write_text(f'"{SUPERUSER}" ""\n')
        configuration = folder / "pgbouncer.ini"
        configuration.write_text(
            _CONFIGURATION.format(
                server=server.folder,
                server_port=PORT,
                folder=folder,
                port=PORT,
                pool_size=pool_size,
                superuser=SUPERUSER,
            )
        )
        with (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [program, configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=server.workspace.environment(),
                cwd=folder,
                start_new_session=True,
                **run_as(),
            )
        eventually(self._ready, every=0.01)

    @property
    def socket(self) -> Path:
        """The Unix socket on which it listens, for a Proxy in front."""
        return self.folder / f".s.PGSQL.{PORT}"

    def url(self, database: str = "postgres", role: str = SUPERUSER) -> str:
        """A libpq URL through the pooler; every role of the server may log in without a password."""
        query = urlencode({"host": str(self.folder), "port": PORT})
        return f"postgresql://{quote(role, safe='')}@/{quote(database, safe='')}?{query}"

    def close(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            raise RuntimeError(f"PgBouncer ended:\n{(self.folder / 'log').read_text()}")
        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True
