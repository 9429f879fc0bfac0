"""Ends a process that code of a run has forked: it has a copy of the run, and must not go on with it."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

__all__ = ["end_fork"]


def end_fork(what: str, error: BaseException | None) -> NoReturn:
    """End this forked process, at the end of the code in which it was forked.

    After an error the process prints the error and exits as Python does. Without one it prints why it ends here, and
    exits with code 1.

    Args:
        what: that code, for people.
        error: raised by that code; None if it has returned.
    """
    code = 1
    with suppress(Exception):
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if error.code is not None and not isinstance(error.code, int):
                _say(str(error.code))
        elif error is not None:
            traceback.print_exception(error)
        else:
            _say(
                f"perdure: a forked process has come to the end of {what}, and ends there: the run goes on in its"
                " parent. End such a process with os._exit(0)"
            )
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    # Not by `sys.exit`: exit handlers and finalizers would act on files and connections that the parent still uses.
    os._exit(code & 0xFF)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
