"""The keeper: the small process that is the embedded server's parent and stops it when it has no user any more.

It holds the folder's keeper lock from before its first instruction (inherited from the process that started it) to
its death, so there is never a second one and no death goes unnoticed. Users send it nothing: each holds a shared lock,
which the kernel releases at any kind of end. When the keeper gets the exclusive lock, there is no user; it keeps that
lock while it stops the server, so a user that comes in that moment waits and then starts a new one. It restarts a
server that dies under its users. If the keeper itself is killed, the kernel signals the server to stop (on Linux;
elsewhere the next user's keeper stops it).

Runs without site-packages and without the `__init__` of its packages (see `embedded`): standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import sys
import time

from perdure.store.embedded.data_folder import Folder, lock, try_lock
from perdure.store.embedded.server import Server, ServerFailed

__all__ = ["main"]

_FIRST_DELAY = 0.1  # seconds until a server that could not be restarted is tried again
_LONGEST_DELAY = 5.0
_STEADY_SECONDS = 30.0  # a server that lived this long starts the delays anew


class _Stopped(Exception):
    """A signal stops the keeper."""


class _Keeper:
    def __init__(self, folder: Folder, install: str, idle: float, held: int) -> None:
        self._folder = folder
        self._idle = idle
        self._held = held
        self._users = lock(folder.users_lock)
        self._last_use = (0, time.monotonic())
        self._stop = False
        self._server = Server(folder, install)
        self._signals, self._wakes = os.pipe()
        os.set_blocking(self._wakes, False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._signalled)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)

    def start(self) -> None:
        """Bring the server up; raises ServerFailed, or _Stopped at a signal meanwhile."""
        self._server.prepare()
        self._server.start(lambda: self._stop)
        if self._stop:
            self._server.stop()
            raise _Stopped
        if os.path.exists(self._folder.failure):
            os.unlink(self._folder.failure)

    def watch(self) -> None:
        """Keep the server up while it has users; returns when it is stopped."""
        period = min(1.0, max(0.02, self._idle / 4))
        while not self._stop:
            self._wait(period)
            if not self._folder_is_ours():
                self._server.stop(now=True)  # removed under us: nothing there is worth a checkpoint
                return
            if self._unused():
                break
            if not self._server.running():
                self._restart()
            self._server.trim_log()
        self._server.stop()

    def _restart(self) -> None:
        """Start a server that died, again and again, until it comes up or its last user is gone."""
        delay, ended = _FIRST_DELAY, time.monotonic() + _STEADY_SECONDS
        while not self._stop and not self._unused():
            self._server.write_log("restarts the server, which has died")
            try:
                self.start()
                return
            except (ServerFailed, OSError) as error:
                self._say_why_not(str(error))
            self._wait(delay)
            delay = _FIRST_DELAY if time.monotonic() > ended else min(delay * 2, _LONGEST_DELAY)

    def _unused(self) -> bool:
        """Whether the server had no user for the idle time; if so, the users' lock is now ours."""
        if try_lock(self._users, fcntl.LOCK_EX):
            # Who came and went between two looks has left the time of it.
            mark = os.fstat(self._users).st_mtime_ns
            if mark == self._last_use[0]:
                if time.monotonic() - self._last_use[1] >= self._idle:
                    return True
                fcntl.flock(self._users, fcntl.LOCK_UN)
                return False
            fcntl.flock(self._users, fcntl.LOCK_UN)
            self._last_use = (mark, time.monotonic())
            return False
        self._last_use = (self._last_use[0], time.monotonic())
        return False

    def _folder_is_ours(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._folder.keeper_lock), os.fstat(self._held))
        except OSError:
            return False

    def _say_why_not(self, why: str) -> None:
        self._server.write_log(why)
        try:
            with open(f"{self._folder.failure}.new", "w", encoding="utf-8") as file:
                file.write(why)
            os.rename(f"{self._folder.failure}.new", self._folder.failure)
        except OSError:  # a full disk, most likely the cause of the failure itself: users time out instead
            return

    def _wait(self, seconds: float) -> None:
        """Wait, but not past a signal: the server's death is one."""
        if select.select([self._signals], [], [], seconds)[0]:
            os.read(self._signals, 4096)

    def _signalled(self, number: int, _frame: object) -> None:
        self._stop = self._stop or number != signal.SIGCHLD


def main(arguments: list[str]) -> None:
    """Run the keeper: base folder, Postgres's folder, idle seconds, descriptors of the held lock and of the report.

    The report is one line, ``ready``, or what went wrong; no report means that the keeper was killed.
    """
    base, install, idle, held, report = arguments
    for descriptor in (int(held), int(report)):
        os.set_inheritable(descriptor, False)
    if os.fork() != 0:
        os._exit(0)  # so that the one who started us has no child that it would have to wait for
    os.umask(0o077)
    os.chdir("/")
    keeper = None
    try:
        keeper = _Keeper(Folder(base), install, float(idle), int(held))
        keeper.start()
        said = "ready"
    except (ServerFailed, OSError) as error:
        said = str(error)
    except _Stopped:
        said = "it was told to stop while it started. Try again"
    # Who started us may have been killed; others may be waiting for the server.
    with contextlib.suppress(BrokenPipeError):
        os.write(int(report), said.encode())
    os.close(int(report))
    if keeper is None or said != "ready":
        sys.exit(1)
    with contextlib.suppress(_Stopped):
        keeper.watch()
