"""A Postgres that takes no connection without TLS; the embedded one has none to offer."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.built.certificates import Authority
from tests.harness.eventually import eventually
from tests.harness.installations import hand_over, run_as
from tests.harness.postgres import Servers
from tests.harness.workspace import Workspace

__all__ = ["POD_PASSWORD", "TlsServer"]

POD_PASSWORD = "of-the-pods"
# The owner and `by_certificate` log in by certificate and by nothing else.
_LOGINS = "hostssl all pods all scram-sha-256\nhostssl all all all cert\n"


@dataclass(frozen=True, slots=True)
class TlsServer:
    """Where it listens, and who signed its certificate, which is good for that address and for no name."""

    port: int
    authority: Authority

    @classmethod
    @contextmanager
    def start(cls, servers: Servers, workspace: Workspace, authority: Authority) -> Iterator[TlsServer]:
        """Start one with the database `perdure`, its owner, `pods` by password, and `by_certificate`, one of those."""
        made = servers.oldest()
        made.create_role("perdure", options="LOGIN CREATEROLE")
        made.create_role("pods", options=f"LOGIN PASSWORD '{POD_PASSWORD}'")
        made.create_role("by_certificate", options="LOGIN IN ROLE pods")
        made.create_database("perdure", owner="perdure")
        made.stop()
        files = dict(zip(("ssl_cert_file", "ssl_key_file"), authority.server("postgres", ["127.0.0.1"]), strict=True))
        files["ssl_ca_file"] = authority.certificate
        for name, file in files.items():
            shutil.copy(file, made.data / name)
            (made.data / name).chmod(0o600)
            hand_over(made.data / name)
        (made.data / "pg_hba.conf").write_text(_LOGINS)
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        settings = {"listen_addresses": "127.0.0.1", "port": port, "ssl": "on", **{name: name for name in files}}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = [str(made.installation.programs / "postgres"), "-D", str(made.data), "-k", str(made.folder)]
        with subprocess.Popen([*command, *options], env=workspace.environment(), cwd="/", **run_as()) as process:
            try:
                eventually(lambda: _ready(made.data), deadline=30)
                yield cls(port, authority)
            finally:
                process.terminate()

    def url(self, user: str, password: str = "", host: str = "127.0.0.1", query: str = "") -> str:
        """A URL of its database; what it takes for TLS is not in it."""
        login = f"{user}:{password}" if password else user
        return f"postgresql://{login}@{host}:{self.port}/perdure{query}"

    def url_of_owner(self) -> str:
        """A URL with all that it takes to log in as the owner."""
        certificate, key = self.authority.client("owner", "perdure")
        query = f"?sslmode=verify-full&sslrootcert={self.authority.certificate}&sslcert={certificate}&sslkey={key}"
        return self.url("perdure", query=query)


def _ready(data: Path) -> bool:
    """Whether it takes connections: it listens before that."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) > 7 and lines[7].strip() == "ready"
