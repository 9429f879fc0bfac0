"""The first and last moments of the process that is forked to run the user's code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..engine.branches import ctrl_c
from ..process.tree import die_with_parent
from .channel import ChildChannel
from .signals import HANDLED

__all__ = ["Gate", "run_child"]


class Gate:
    """Holds the child until the supervisor has made sure that its children die with it. Made before the fork."""

    def __init__(self) -> None:
        self._reading, self._writing = os.pipe()

    def open(self) -> None:
        """Let the child go; in the supervisor."""
        os.close(self._reading)
        with suppress(BrokenPipeError):  # it has died already
            os.write(self._writing, b".")
        os.close(self._writing)

    def wait(self) -> None:
        """Wait for that; in the child. Ends the process if the supervisor has gone."""
        os.close(self._writing)
        if not os.read(self._reading, 1):
            os._exit(1)
        os.close(self._reading)


def run_child(
    child: Callable[[ChildChannel], int], take_side: Callable[[], ChildChannel], supervisor: int, gate: Gate
) -> NoReturn:
    """Be the child: a session of its own, an empty standard input, signals as Python has them, then `child`.

    Leaves with the exit code that `child` returns, or with Python's exit code for the error that it raises, and never
    returns: nothing of the supervisor, of whose stack this process has a copy, may run twice.
    """
    code = 1
    try:
        die_with_parent(supervisor)
        # Ctrl-C on a terminal reaches the supervisor alone, and the whole group can be killed at one stroke.
        os.setsid()
        _empty_standard_input()
        _default_signals()
        gate.wait()
        code = child(take_side())
    except SystemExit as exit_:
        code = _exit_status(exit_)
    except BaseException:  # noqa: BLE001 as the interpreter itself does at its end
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code & 0xFF)


def _empty_standard_input() -> None:
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    if null:
        os.close(null)


def _default_signals() -> None:
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    ctrl_c.install()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def _exit_status(exit_: SystemExit) -> int:
    if exit_.code is None or isinstance(exit_.code, int):
        return exit_.code or 0
    with suppress(Exception):
        print(exit_.code, file=sys.stderr)  # noqa: T201 what sys.exit("text") does
    return 1
