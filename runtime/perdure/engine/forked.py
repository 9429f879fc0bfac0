"""The end of a process that was forked by code of a run: it must not go on with the run, of which it has a copy."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from typing import NoReturn

__all__ = ["end_fork"]


def end_fork(what: str, error: BaseException | None) -> NoReturn:
    """End this forked process, which has come to the end of what it was forked in, as Python ends a process."""
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
    os._exit(code & 0xFF)


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")
