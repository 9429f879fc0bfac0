"""Keeps an attempt's secrets from the programs that user code starts: out of their environment, and out of /proc.

User code itself shares its memory with the library, which must have them; nothing here hides them from it.
"""

from __future__ import annotations

import ctypes
import os

__all__ = ["forbid_looking_in", "forget_variables"]

# linux/prctl.h
_PR_SET_DUMPABLE = 4


def forget_variables(*names: str) -> None:
    """Take variables out of the environment of this process, and of all that it will fork or start.

    Their texts are overwritten where they stand: /proc/PID/environ shows the memory in which the kernel once put them,
    which no `unsetenv` touches, to every process of the same user. Call it before the fork.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.getenv.restype = ctypes.c_void_p
    for name in names:
        if (place := libc.getenv(name.encode())) is not None:
            ctypes.memset(place, ord("-"), len(ctypes.string_at(place)))
        os.environ.pop(name, None)


def forbid_looking_in() -> None:
    """Let no other process of this user trace this one or read its memory (prctl(2), PR_SET_DUMPABLE).

    A fork inherits that, and a program that is started does not: its memory has nothing of ours. Such a process leaves
    no core dump, and a debugger has to run as root.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
