"""The files of the embedded database: one folder per Postgres major; and how to see which processes use it.

Everything here follows from the folder's path alone, so that all processes agree without talking to each other,
and the URL stays the same when the server is started anew. Imported by the keeper: standard library only.

    <base>/postgres-18/
    ├── data/         the server's own folder; appears, complete, by a rename
    ├── run/          its socket, unless the path would be too long for one
    ├── users.lock    locked, shared, by each user of the server; exclusively while it is stopped for idleness
    ├── keeper.lock   locked by the keeper as long as it lives; a process that gets it has to start one
    ├── server.log    the log of the server and its keeper; server.log.1 is the one before
    └── failure       why the keeper cannot restart the server at the moment
"""

from __future__ import annotations

import fcntl
import os
import socket
import zlib
from dataclasses import dataclass
from urllib.parse import quote

__all__ = ["DATABASE", "POSTGRES_MAJOR", "USER", "Folder", "lock", "try_lock"]

POSTGRES_MAJOR = 18
USER = "perdure"
DATABASE = "perdure"
_PORT = 5432  # names the socket; nothing listens on TCP
_LONGEST_SOCKET_PATH = 103  # bytes; Linux takes 107, macOS 103
_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Folder:
    """The embedded database below `base`, an absolute path."""

    base: str

    @property
    def path(self) -> str:
        """The folder of this Postgres major."""
        return os.path.join(self.base, f"postgres-{POSTGRES_MAJOR}")

    @property
    def data(self) -> str:
        """Postgres's own folder."""
        return os.path.join(self.path, "data")

    @property
    def log(self) -> str:
        """The server's and the keeper's log."""
        return os.path.join(self.path, "server.log")

    @property
    def failure(self) -> str:
        """Why the server cannot be restarted, while that is so."""
        return os.path.join(self.path, "failure")

    @property
    def users_lock(self) -> str:
        """The lock file of the users."""
        return os.path.join(self.path, "users.lock")

    @property
    def keeper_lock(self) -> str:
        """The lock file of the keeper."""
        return os.path.join(self.path, "keeper.lock")

    @property
    def socket_folder(self) -> str:
        """Inside the folder, or a folder of its user's in /tmp, where the path is too long for a socket.

        Or where it has a comma, at which libpq would divide it. Not in TMPDIR or XDG_RUNTIME_DIR, which differ between
        the shells and services of one user. `Server` checks that no other user made the folder in /tmp.
        """
        inside = os.path.join(self.path, "run")
        if "," not in inside and len(os.fsencode(os.path.join(inside, self._socket_name))) <= _LONGEST_SOCKET_PATH:
            return inside
        return f"/tmp/perdure-{os.geteuid()}-{zlib.crc32(os.fsencode(self.path)):08x}"  # noqa: S108

    @property
    def socket(self) -> str:
        """The server's socket."""
        return os.path.join(self.socket_folder, self._socket_name)

    @property
    def url(self) -> str:
        """The libpq URL. It names the port, or PGPORT would rename the socket."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(self.socket_folder, safe='')}&port={_PORT}"

    @property
    def _socket_name(self) -> str:
        return f".s.PGSQL.{_PORT}"

    def server_pid(self) -> tuple[int | None, str]:
        """The process id and the state (``starting``, ``ready``, ``stopping``) in postmaster.pid, true or stale."""
        try:
            with open(os.path.join(self.data, "postmaster.pid"), encoding="utf-8", errors="replace") as file:
                lines = file.read().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return None, ""
        pid = lines[0].strip() if lines else ""
        # A server in single-user mode writes its id with a minus sign.
        number = int(pid.lstrip("-")) if pid.lstrip("-").isdigit() else None
        return number, lines[7].strip() if len(lines) > 7 else ""

    def server_ready(self) -> bool:
        """Whether the pid file has the state "ready", and a server listens.

        A killed server leaves the state behind, but does not listen; one that starts or stops listens, but has another
        state.
        """
        if self.server_pid()[1] != "ready":
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(_CONNECT_SECONDS)
            try:
                client.connect(self.socket)
            except OSError:
                return False
        return True


def lock(path: str) -> int:
    """A descriptor of the lock file at `path`, which is made if need be; no child process inherits it by exec."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(descriptor: int, operation: int) -> bool:
    """Take the lock (``fcntl.LOCK_SH`` or ``LOCK_EX``), unless that would mean waiting."""
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
