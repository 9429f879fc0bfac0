"""Commands that take moments, run to their end; progress.py has those that take minutes."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

__all__ = ["printed"]


def printed(
    command: Sequence[str], *, env: Mapping[str, str] | None = None, told_as: Sequence[str] | None = None
) -> str:
    """Run a command, which reads nothing, and return what it printed.

    Raises:
        RuntimeError: it failed; the message holds the command, or what it is `told_as`, and what it printed.
    """
    done = subprocess.run(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(told_as or command)} ended with {done.returncode}: {done.stdout}")
    return done.stdout
