"""Commands that take moments, run to their end; progress.py has those that take minutes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

__all__ = ["as_another_user", "printed"]


def as_another_user() -> list[str]:
    """By what to run a command so that root does not; who does may read this tree and this Python wherever they are."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]


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
