"""One attempt of one run as two processes: this small supervisor, and the child with the user's code.

The supervisor keeps the attempt alive in the store while its child lives, passes on requests about the run, and makes
sure that no process of the attempt is left when it ends: it kills and reaps every descendant before it reports the end
to the store. It never judges by exit codes: only a child that reported it on its channel has ended in order. It waits
for one pipe, to which signals, the child and the reporting thread write; nothing is polled.

The supervisor does not do anything about a child that hangs before it begins (a start deadline does), nor about a step
that takes too long (its timeout does).
"""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

from perdure.errors import StoreUnavailable
from perdure.names import Token

from ..process.exit_codes import ExitCode
from ..process.tree import adopt_orphans, kill_descendants, kill_group_on_exit, reap
from .cgroup import out_of_memory_kills
from .channel import Channel, ChildChannel, Request, SupervisorChannel, WakePipe
from .child import Gate, run_child
from .environment import DEFAULT_GRACE_SECONDS, DEFAULT_LEASE_SECONDS
from .heartbeat import PAUSES, Heartbeat
from .reporting import Death, Reporter, ReportingThread, Verdict
from .signals import StopSignals, hold_signals

__all__ = ["SupervisorSettings", "supervise"]

_LAST_MOMENT = 0.2
"""Seconds before the end of the grace period by which the supervisor itself is to be gone."""

_GOODBYE = 0.2
"""Longest wait, in seconds, for the connection to be closed in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorSettings:
    """How long things may take, in seconds."""

    lease: float = DEFAULT_LEASE_SECONDS
    """An attempt whose heartbeat rests for this long is taken for dead; it beats four times in it."""

    grace: float = DEFAULT_GRACE_SECONDS
    """Time from SIGTERM to SIGKILL."""

    reserve: float = 3.0
    """The end of the grace period, kept to kill the child and to release the run; at most half of it."""

    linger: float = 5.0
    """How long a child that has ended may take to leave."""

    @property
    def heartbeat(self) -> float:
        """Seconds from heartbeat to heartbeat."""
        return self.lease / 4

    @property
    def drain(self) -> float:
        """How long after SIGTERM the step in flight may go on."""
        return self.grace - min(self.reserve, self.grace / 2)


def supervise(
    child: Callable[[ChildChannel], int], reporter: Callable[[Token], Reporter], settings: SupervisorSettings
) -> int:
    """Run `child` in a process of its own and watch over it. Once in the life of a process, in its main thread.

    To be called before any thread or connection exists, and after the imports that both sides need, which they share.

    Args:
        child: the engine; called in the child. Its return value is only the exit code of that process:
            `ChildChannel.ended` decides.
        reporter: connects to the store, to speak for the attempt that has this token; called in a thread of the
            supervisor, after the fork, when first needed.
        settings: time limits.

    Returns:
        The exit code for this process, an `ExitCode` or the code that the child announced. Every descendant is gone by
        then, and the caller should leave at once.
    """
    hold_signals()
    adopt_orphans()
    memory_kills = out_of_memory_kills()
    wake = WakePipe()
    channel = Channel(wake)
    supervisor = os.getpid()
    for stream in (sys.stdout, sys.stderr):
        # Both processes would write the bytes that are in a buffer now.
        with suppress(AttributeError, OSError, ValueError):
            stream.flush()
    gate = Gate()
    pid = os.fork()
    if pid == 0:
        run_child(child, channel.child_side, supervisor, gate)
    kill_group_on_exit(pid)
    gate.open()
    told = channel.supervisor_side()

    def connect() -> Reporter:
        assert told.token is not None, "of an attempt that has not begun nothing is reported"
        return reporter(told.token)

    reports = ReportingThread(connect, wake.wake)
    code = _Supervision(pid, told, wake, reports, settings, memory_kills).run()
    reports.close(_GOODBYE)
    return code


class _Ending(Enum):
    """Why the supervisor stopped watching."""

    LEFT = auto()
    """The child ended, in order or not."""

    OVERSTAYED = auto()
    """The attempt ended in order, but its process does not leave."""

    SUPERSEDED = auto()
    TERMINATED = auto()


class _Supervision:
    def __init__(
        self,
        pid: int,
        channel: SupervisorChannel,
        wake: WakePipe,
        reports: ReportingThread,
        settings: SupervisorSettings,
        memory_kills: int | None,
    ) -> None:
        self._pid = pid
        self._channel = channel
        self._wake = wake
        self._reports = reports
        self._settings = settings
        self._memory_kills = memory_kills
        self._heartbeat: Heartbeat | None = None
        self._stops = StopSignals(wake)
        self._end: os.waitid_result | None = None
        # Moments on the monotonic clock.
        self._held_since: float | None = None
        self._told_to_stop: float | None = None
        self._ended: float | None = None
        self._superseded: float | None = None

    def run(self) -> int:
        ending = self._watch()
        if left := kill_descendants(self._wake.wait, self._settings.lease):
            # After a lease without heartbeats the attempt counts as lost anyway, and the fence stops writes of the
            # rest.
            _log(f"could not kill {', '.join(str(process.pid) for process in left)}; going on without")
        if (code := self._channel.ended) is not None:
            return code
        match ending:
            case _Ending.LEFT | _Ending.OVERSTAYED:
                death = self._death()
                _log(f"the workflow's process {death}")
                self._tell("the death", lambda reporter: reporter.report_death(death))
                return ExitCode.CRASHED
            case _Ending.SUPERSEDED:
                _log("another attempt owns the run; stopped")
                return ExitCode.SUPERSEDED
            case _Ending.TERMINATED:
                self._tell("the release of the run", lambda reporter: reporter.release_run("terminated"))
                return ExitCode.RELEASED

    def _watch(self) -> _Ending:
        while True:
            for change in reap():
                if change.si_pid == self._pid:
                    self._take(change)
            if self._end is not None:
                return _Ending.LEFT
            now = time.monotonic()
            if ending := self._judge(now):
                return ending
            deadline = self._next_deadline()
            self._wake.wait(None if deadline is None else deadline - now)

    def _take(self, change: os.waitid_result) -> None:
        match change.si_code:
            case os.CLD_STOPPED:
                self._held_since = time.monotonic()
            case os.CLD_CONTINUED:
                self._held_since = None
            case _:
                self._end = change

    def _judge(self, now: float) -> _Ending | None:
        self._note_stops(now)
        if self._channel.ended is not None:
            self._ended = self._ended or now
            return _Ending.OVERSTAYED if now >= self._ended + self._settings.linger else None
        if self._told_to_stop is not None:
            self._channel.request(Request.DRAIN)
            # Before the attempt has begun there is nothing in flight that would be worth waiting for.
            if self._stops.count > 1 or not self._channel.begun or now >= self._told_to_stop + self._settings.drain:
                return _Ending.TERMINATED
        if self._superseded is None:
            self._keep_alive(now)
        if self._superseded is not None:
            # A child that is just sending its last statement may have made its own claim void: it knows, in a moment.
            patience = self._settings.linger if self._channel.finishing else 0
            return _Ending.SUPERSEDED if now >= self._superseded + patience else None
        return None

    def _keep_alive(self, now: float) -> None:
        if self._heartbeat is None:
            if not self._channel.begun:
                return
            self._heartbeat = Heartbeat(self._reports, self._settings.heartbeat, now, _log)
        if self._resting(now):
            return
        match self._heartbeat.beat(now, self._channel.progress):
            case Verdict(superseded=True):
                self._superseded = now
            case Verdict() as verdict:
                self._channel.request(
                    (Request.CANCEL if verdict.cancel else Request.NONE)
                    | (Request.CANCEL_AT_ONCE if verdict.at_once else Request.NONE)
                    | (Request.SUSPEND if verdict.suspend else Request.NONE)
                )
            case None:
                pass

    def _resting(self, now: float) -> bool:
        """Whether the child has been stopped (SIGSTOP) for so long that it cannot be called alive."""
        return self._held_since is not None and now - self._held_since > self._settings.heartbeat

    def _next_deadline(self) -> float | None:
        settings, moments = self._settings, []
        if self._ended is not None:
            return self._ended + settings.linger
        if self._told_to_stop is not None:
            moments.append(self._told_to_stop + settings.drain)
        if self._superseded is not None:
            moments.append(self._superseded + settings.linger)
        elif self._heartbeat is not None and not self._resting(time.monotonic()):
            moments += [due] if (due := self._heartbeat.due()) is not None else []
        return min(moments, default=None)

    def _note_stops(self, now: float) -> None:
        if self._stops.count and self._told_to_stop is None:
            self._told_to_stop = now

    def _death(self) -> Death:
        kills = out_of_memory_kills()
        end = self._end
        if end is None or end.si_code == os.CLD_EXITED:
            return Death(exit_code=end.si_status if end else None)
        suspected = None if kills is None or self._memory_kills is None else kills > self._memory_kills
        return Death(signal=end.si_status, dumped_core=end.si_code == os.CLD_DUMPED, out_of_memory=suspected)

    def _tell(self, what: str, call: Callable[[Reporter], None]) -> None:
        """Make one call to the store, repeated while it is away; once a signal stops this process, until its end.

        The claimer of an attempt that has not begun reports it to the store, by this process's exit code.
        """
        if self._channel.token is None:
            return None
        since, tries = time.monotonic(), 0
        while True:
            answer = self._reports.submit(call)
            while not answer.done():
                if not self._wait(since):
                    return _log(f"{what} was not reported to the store: no answer in time")
            error = answer.exception()
            if error is None:
                return None
            if not isinstance(error, StoreUnavailable):
                return _log(f"{what} was not reported to the store: {type(error).__name__}: {error}")
            tries += 1
            if tries == 1:
                _log(f"{what} cannot be reported to the store, trying again: {error}")
            again = time.monotonic() + PAUSES.after(tries)
            while time.monotonic() < again:
                if not self._wait(since, again):
                    return _log(f"{what} was not reported to the store: {error}")

    def _wait(self, since: float, until: float | None = None) -> bool:
        """Wait for something to happen, or for a moment; False when there is no time left for what began at `since`."""
        reap()  # as PID 1 it may adopt children of processes that were started in the container from outside
        now = time.monotonic()
        self._note_stops(now)
        limit = None
        if self._told_to_stop is not None:
            limit = min(
                max(since, self._told_to_stop) + self._settings.reserve,
                self._told_to_stop + self._settings.grace - _LAST_MOMENT,
            )
            if now >= limit:
                return False
        moments = [moment for moment in (limit, until) if moment is not None]
        self._wake.wait(min(moments) - now if moments else None)
        return True


def _log(text: str) -> None:
    """Write a line to standard error, unless its reader has fallen behind: the supervisor must not wait for that."""
    with suppress(OSError, ValueError):
        poll = select.poll()
        poll.register(2, select.POLLOUT)
        if poll.poll(0):
            os.write(2, f"perdure: {text}\n".encode(errors="replace")[:4096])
