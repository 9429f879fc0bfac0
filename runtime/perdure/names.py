"""Ids, and the names and keys of steps.

A step's key is unique in its run: its name, `#n` from the second occurrence on, behind the path of its branch:
`charge`, `charge#2`, `3/charge`, `3.1/charge`. The parts of a key cannot be part of a name.
"""

from __future__ import annotations

import re
from typing import NewType
from uuid import UUID

from .errors import DefinitionError

__all__ = [
    "CANCEL_KEY",
    "MAX_NAME_BYTES",
    "RESERVED_PREFIX",
    "Claim",
    "RunId",
    "StepKey",
    "check_name",
    "step_key",
    "step_name",
]

RunId = NewType("RunId", UUID)
Claim = NewType("Claim", UUID)
StepKey = NewType("StepKey", str)

MAX_NAME_BYTES = 512
"""Longest name of a step, a run or a queue, in bytes of UTF-8."""

RESERVED_PREFIX = "perdure."

CANCEL_KEY = f"{RESERVED_PREFIX}cancel"
"""Key of the checkpoint that says where a cancellation struck a run's workflow, which cleans up from there on."""
"""Names of recorded values begin so; names of steps must not."""

_SEPARATORS = re.compile(r"[/#\x00-\x1f\x7f\ud800-\udfff]")


def check_name(name: str, what: str) -> str:
    """Return `name` if it can name a step, a run or a queue (`what`, for the message).

    Raises:
        DefinitionError: it is empty, longer than 512 bytes, or has a separator, a control character or a lone
        surrogate.
    """
    if not isinstance(name, str):
        raise DefinitionError(f"the name of a {what} is text, not {type(name).__name__}")
    if not name.strip():
        raise DefinitionError(f"the name of a {what} is empty; give it one")
    if found := _SEPARATORS.search(name):
        raise DefinitionError(
            f"the name of a {what} cannot contain {found.group()!r} (in {name[:80]!r}): '/' and '#' separate the parts"
            " of step keys, and control characters and lone surrogates cannot be stored; use another name"
        )
    if len(name.encode()) > MAX_NAME_BYTES:
        raise DefinitionError(
            f"the name of a {what} has {len(name.encode())} bytes, {MAX_NAME_BYTES} are the most: {name[:60]!r}..."
        )
    return name


def step_key(branch: str, name: str, occurrence: int) -> StepKey:
    """Compose the key of the `occurrence`-th step (from 1) of this name in a branch ('' is the main one)."""
    key = name if occurrence == 1 else f"{name}#{occurrence}"
    return StepKey(f"{branch}/{key}" if branch else key)


def step_name(key: str) -> str:
    """The name in a step's key."""
    return key.rpartition("/")[2].partition("#")[0]
