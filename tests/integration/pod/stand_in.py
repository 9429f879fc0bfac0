"""`perdure exec` with stand-ins: a folder for the store, and for the engine a function named on the command line.

    python stand_in.py FOLDER CHILD [lease=SECONDS] [grace=SECONDS] [linger=SECONDS]

Everything that happens is a line of FOLDER/events. The store obeys files in FOLDER: `away` (each call fails),
`slow` (each call takes long), `dies` (a heartbeat is the last that its thread does), `superseded`, `cancel`, `suspend`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from uuid import NAMESPACE_URL, UUID, uuid5

from perdure.errors import StoreUnavailable
from perdure.names import Token
from perdure.pod import ChildChannel, Death, Progress, Request, SupervisorSettings, Verdict, hold_signals, supervise
from perdure.process.tree import below, processes

FOLDER = Path(sys.argv[1])
TOKEN = Token(uuid5(NAMESPACE_URL, str(FOLDER)))


def record(event: str, **details: object) -> None:
    line = json.dumps({"event": event, "pid": os.getpid(), "at": time.monotonic(), **details}) + "\n"
    file = os.open(FOLDER / "events", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)


class FolderStore:
    def __init__(self, token: UUID) -> None:
        assert token == TOKEN
        record("connected")

    def heartbeat(self, progress: Progress) -> Verdict:
        self._call("heartbeat", steps_done=progress.steps_done, current_step=progress.current_step)
        if (FOLDER / "dies").exists():
            (FOLDER / "dies").unlink()
            reporting = threading.current_thread()
            threading.Thread(target=strike, args=(reporting,), daemon=True).start()
        return Verdict(**{flag: (FOLDER / flag).exists() for flag in ("superseded", "cancel", "suspend")})

    def report_death(self, death: Death) -> None:
        self._call("death", exit_code=death.exit_code, signal=death.signal, out_of_memory=death.out_of_memory)

    def release_run(self, reason: str) -> None:
        self._call("release_run", reason=reason)

    def close(self) -> None:
        record("closed")

    def _call(self, event: str, **details: object) -> None:
        if (FOLDER / "slow").exists():
            record("slow", call=event)
            time.sleep(60)
        if (FOLDER / "away").exists():
            record("failed", call=event)
            raise StoreUnavailable("the folder is away")
        record(event, left=[process.pid for process in below(os.getpid(), processes())], **details)


class Struck(BaseException):
    """What ends a thread."""


def strike(thread: threading.Thread) -> None:
    """End a thread at the next line that it comes to, once it has nothing to do."""
    time.sleep(0.05)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Struck))
    thread.join(30)
    record("struck")


# Children. Each begins, says so, and does one thing.


def engine(channel: ChildChannel) -> int:
    """Steps of 20 ms, and between them a look at what is asked."""
    begin(channel)
    for step in range(100_000):
        channel.progress(step, f"step-{step}")
        requests = channel.requests
        if requests:
            record("asked", requests=requests.value)
            channel.finishing()
            return end(channel, 78 if Request.CANCEL in requests else 75)
        channel.wait(0.02)
    return 99


def returns(channel: ChildChannel) -> int:
    begin(channel)
    return 0


def raises(channel: ChildChannel) -> int:
    begin(channel)
    raise RuntimeError("a bug in the engine")


def leaves_by_sys_exit(channel: ChildChannel) -> int:
    begin(channel)
    sys.exit()


def leaves_by_sys_exit_5(channel: ChildChannel) -> int:
    begin(channel)
    sys.exit(5)


def leaves_by_os_exit_0(channel: ChildChannel) -> int:
    begin(channel)
    os._exit(0)


def leaves_by_os_exit_3(channel: ChildChannel) -> int:
    begin(channel)
    os._exit(3)


def killed(channel: ChildChannel) -> int:
    begin(channel)
    os.kill(os.getpid(), signal.SIGKILL)
    return 99


def terminated(channel: ChildChannel) -> int:
    begin(channel)
    os.kill(os.getpid(), signal.SIGTERM)
    return 99


def segfaults(channel: ChildChannel) -> int:
    begin(channel)
    return ctypes.string_at(0)[0]


def overflows_the_stack(channel: ChildChannel) -> int:
    begin(channel)
    sys.setrecursionlimit(10**9)
    function = ctypes.PYFUNCTYPE(ctypes.c_int)

    @function
    def deeper() -> int:
        return deeper() + 1

    return deeper()


def segfaults_before_it_begins(_channel: ChildChannel) -> int:
    record("started")
    return ctypes.string_at(0)[0]


def segfaults_after_its_end(channel: ChildChannel) -> int:
    begin(channel)
    end(channel, 0)
    return ctypes.string_at(0)[0]


def never_leaves(channel: ChildChannel) -> int:
    begin(channel)
    end(channel, 0)
    return forever()


def never_begins(_channel: ChildChannel) -> int:
    record("started")
    return forever()


def copy_says_ended(channel: ChildChannel) -> int:
    """User code forks, and the copy runs on into the engine."""
    begin(channel)
    if os.fork() == 0:
        channel.progress(99, "copy")
        end(channel, 0)
        os._exit(0)
    os.wait()
    os._exit(0)


def floods(channel: ChildChannel) -> int:
    """More messages than any pipe holds, while the supervisor is stopped."""
    begin(channel)
    os.kill(os.getppid(), signal.SIGSTOP)
    for step in range(200_000):
        channel.progress(step, "x" * 500)
    for _ in range(100_000):
        channel.begun(TOKEN)
    record("flooded")
    return end(channel, 1)


def is_deaf(channel: ChildChannel) -> int:
    """A step that never comes to its end."""
    begin(channel)
    return forever()


def is_finishing(channel: ChildChannel) -> int:
    """Its last statement is committed, but it has not got the answer yet."""
    begin(channel)
    channel.finishing()
    while not (FOLDER / "answered").exists():
        time.sleep(0.01)
    return end(channel, 0)


def closes_descriptors(channel: ChildChannel) -> int:
    begin(channel)
    os.closerange(3, 256)
    precious = [os.open(FOLDER / "precious", os.O_RDWR | os.O_CREAT) for _ in range(20)]
    end(channel, 0)
    return len(precious)


def _interrupts() -> bool:
    """Whether SIGINT raises KeyboardInterrupt, as in any Python; it may do more."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        handler(signal.SIGINT, None)  # type: ignore[operator, misc]
    except KeyboardInterrupt:
        return True
    return False


def shows_itself(channel: ChildChannel) -> int:
    begin(channel)
    record(
        "shown",
        standard_input=os.read(0, 10).decode(),
        session=os.getsid(0),
        group=os.getpgid(0),
        blocked=[int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, ())],
        sigterm=signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        sigint=_interrupts(),
        sigchld=signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
        threads=threading.active_count(),
        wakeup=signal.set_wakeup_fd(-1),
    )
    print("on standard output", end="")
    print("on standard error", end="", file=sys.stderr)
    return end(channel, 0)


def has_family(channel: ChildChannel) -> int:
    """Every way of staying behind, then its own death or, if it is asked, its end."""
    begin(channel)
    family(50)
    while not channel.requests:
        if (FOLDER / "die").exists():
            os._exit(0)
        channel.wait(0.02)
    return end(channel, 75)


def has_family_and_ends(channel: ChildChannel) -> int:
    begin(channel)
    family(50)
    return end(channel, 0)


def has_children(channel: ChildChannel) -> int:
    """Plain children, as `subprocess` makes them."""
    begin(channel)
    for _ in range(3):
        subprocess.Popen(["sleep", "1000"])
    record("family")
    return forever()


def forks_without_end(channel: ChildChannel) -> int:
    """For a minute, processes that fork and end again and again, each generation in a session of its own."""
    begin(channel)
    end_of_it = time.monotonic() + 60
    for _ in range(4):
        if os.fork() == 0:
            while time.monotonic() < end_of_it:
                if os.fork() != 0:
                    os._exit(0)
                os.setsid()
            os._exit(0)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGKILL)
    return 99


def family(count: int) -> None:
    # All but those that run another program hold the pipes open.
    kinds = (plain, deaf_to_sigterm, stopped, daemon, new_session)
    for number in range(count):
        kinds[number % len(kinds)]()
    record("family")


def plain() -> None:
    if os.fork() == 0:
        stay()


def deaf_to_sigterm() -> None:
    if os.fork() == 0:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stay()


def stopped() -> None:
    if os.fork() == 0:
        os.kill(os.getpid(), signal.SIGSTOP)
        stay()


def daemon() -> None:
    if (between := os.fork()) == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            stay()
        os._exit(0)
    os.waitpid(between, 0)


def new_session() -> None:
    subprocess.Popen(["sleep", "1000"], start_new_session=True)


def stay() -> None:
    while True:
        signal.pause()


def forever() -> int:
    while True:
        time.sleep(1)


def begin(channel: ChildChannel) -> None:
    record("begun")
    channel.begun(TOKEN)


def end(channel: ChildChannel, code: int) -> int:
    channel.ended(code)
    return code


def main() -> int:
    hold_signals()
    record("supervisor")
    name, *options = sys.argv[2:]
    settings = SupervisorSettings(**{key: float(value) for key, _, value in (text.partition("=") for text in options)})
    if (FOLDER / "wait").exists():
        record("held")
        while (FOLDER / "wait").exists():
            time.sleep(0.01)
    child = (lambda channel: end(channel, int(name))) if name.isdigit() else globals()[name]
    return supervise(child, FolderStore, settings)


if __name__ == "__main__":
    code = main()
    record("left", left=[process.pid for process in below(os.getpid(), processes())])
    sys.exit(code)
