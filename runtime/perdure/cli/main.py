"""The entry of `perdure`: which command, and what its errors look like."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["exec"]:
        # The process of a pod starts in a few hundredths of a second, without the parts that only people need.
        from .commands.exec import execute_attempt

        return execute_attempt()
    from .parser import run_command

    return run_command(arguments)
