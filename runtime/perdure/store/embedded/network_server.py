"""The embedded Postgres as a server on the network, for trying out a cluster that has no Postgres yet.

It makes its data folder where there is none, with two logins: `perdure`, which owns everything, and `perdure_shared`,
for pods. That one is a member of the role `perdure_pods`, to which `perdure migrate --pod-role perdure_pods` grants the
rights of pods, and has a schema with its name for its tables. Other logins may become members, too: no member has any
right on another one, makes schemas, or takes advisory locks. At each start both get the passwords from its settings.
Then it runs Postgres until a signal stops it. No backup, no replica, no TLS: not for production.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from ...errors import StoreUnavailable, UsageError
from ..schema.closed_server import CLOSING
from .embedded import postgres_install
from .options import INITDB, options_of

__all__ = ["OWNER", "POD_ROLE", "SHARED", "NetworkServer"]

OWNER = "perdure"
POD_ROLE = "perdure_pods"
SHARED = "perdure_shared"
DATABASE = "perdure"

_INITDB = [*INITDB, f"--username={OWNER}", "--auth=scram-sha-256"]
_SETTINGS = {
    "listen_addresses": "*",
    "unix_socket_directories": "",
    "max_connections": "300",
    # Pods cannot take those of operator and migration, whose login is the server's administrator.
    "superuser_reserved_connections": "50",
    # A connection that has not logged in yet counts for no login's limit, and may take one of those that are reserved.
    "authentication_timeout": "5s",
    "shared_buffers": "64MB",
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm is small
}
_FROM_ANYWHERE = "host all all all scram-sha-256\n"


@dataclass(frozen=True, slots=True)
class NetworkServer:
    """The server, with its settings: the data folder, the port and the passwords of its two logins."""

    data: Path
    port: int
    password: str = field(repr=False)
    pod_password: str = field(repr=False)

    @classmethod
    def parse(cls, environ: Mapping[str, str]) -> NetworkServer:
        """Read `PERDURE_POSTGRES_*`.

        Raises:
            UsageError: variables are missing or wrong; the message names each of them.
        """
        names = ("PERDURE_POSTGRES_DATA", "PERDURE_POSTGRES_PASSWORD", "PERDURE_POSTGRES_POD_PASSWORD")
        missing = [name for name in names if not environ.get(name)]
        # Not `_PORT`: Kubernetes sets that in every pod beside a Service called perdure-postgres.
        port = environ.get("PERDURE_POSTGRES_LISTEN") or "5432"
        if missing or not port.isdecimal():
            wrong = [] if port.isdecimal() else [f"PERDURE_POSTGRES_LISTEN is {port!r}: a port's number"]
            raise UsageError("; ".join([*(f"{name} is not set" for name in missing), *wrong]))
        data, password, pod_password = (environ[name] for name in names)
        if broken := [name for name in names[1:] if environ[name].splitlines() != [environ[name]]]:
            raise UsageError("; ".join(f"{name} is not one line" for name in broken))
        return cls(Path(data), int(port), password, pod_password)

    def run(self) -> int:
        """Run the server until SIGTERM or SIGINT; it ends its connections and stops in order. Returns its exit code.

        Raises:
            StoreUnavailable: it cannot be made; the message explains why.
        """
        if os.geteuid() == 0:
            raise StoreUnavailable("Postgres does not run as root: run this as another user")
        if not (self.data / "PG_VERSION").exists():
            self._make()
        # Postgres demands a private folder, and a kubelet opens a volume's files to the pod's `fsGroup`.
        self.data.chmod(0o700)
        self._set_passwords()
        command = [_program("postgres"), "-D", str(self.data), "-p", str(self.port), *options_of(_SETTINGS)]
        with subprocess.Popen(command) as postgres:

            def stop(_number: int, _frame: FrameType | None) -> None:
                # Postgres's own answer to SIGTERM is to wait until the last client has gone.
                postgres.send_signal(signal.SIGINT)

            signal.signal(signal.SIGTERM, stop)
            signal.signal(signal.SIGINT, stop)
            return postgres.wait()

    def _make(self) -> None:
        """Make the data folder under another name, and only once it is whole give it its own."""
        new = self.data.with_name(f"{self.data.name}.new")
        if new.exists():
            _run(["rm", "-r", str(new)])
        new.parent.mkdir(parents=True, exist_ok=True)
        secret = new.with_name(f"{new.name}.password")
        secret.touch(mode=0o600)
        try:
            secret.write_text(self.password)
            _run([_program("initdb"), "-D", str(new), *_INITDB, f"--pwfile={secret}"])
        finally:
            secret.unlink()
        with (new / "pg_hba.conf").open("a") as file:
            file.write(_FROM_ANYWHERE)
        _execute(new, "template1", f"CREATE DATABASE {DATABASE}")
        _execute(new, DATABASE, f"CREATE ROLE {POD_ROLE} NOLOGIN")
        _execute(new, DATABASE, f"CREATE ROLE {SHARED} LOGIN IN ROLE {POD_ROLE}")
        _execute(new, DATABASE, f"CREATE SCHEMA {SHARED} AUTHORIZATION {SHARED}")
        _execute(new, DATABASE, CLOSING)
        new.rename(self.data)

    def _set_passwords(self) -> None:
        """Set both passwords anew, so that an administrator who changes them need not know the old ones."""
        passwords = {OWNER: self.password, SHARED: self.pod_password}
        quoted = {role: password.replace("'", "''") for role, password in passwords.items()}
        # Not in `DATABASE`, which is not there while a backup is restored.
        _execute(self.data, "template1", *(f"ALTER ROLE {role} PASSWORD '{text}'" for role, text in quoted.items()))


def _program(name: str) -> str:
    return os.path.join(postgres_install(), "bin", name)


def _execute(data: Path, database: str, *statements: str) -> None:
    """Have a Postgres without a server execute statements, each of which is one line."""
    lines = "".join(f"{statement}\n" for statement in statements)
    _run([_program("postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on", database], lines)


def _run(command: list[str], given: str = "") -> None:
    done = subprocess.run(
        command, input=given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        raise StoreUnavailable(f"{os.path.basename(command[0])} failed: {done.stdout.strip()}")
