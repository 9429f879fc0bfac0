"""Ids, and the names and keys of steps.

A step's key is unique in its run: its name, `#n` from the second occurrence on, behind the path of its branch:
`charge`, `charge#2`, `3/charge`, `3.1/charge`. The parts of a key cannot be part of a name. A path that has grown long
is replaced by its hash, `~1-9f86d081884c7d659a2f.1/charge`, so that branches may create branches without end.
"""

from __future__ import annotations

import re
from hashlib import blake2b
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
    "Token",
    "check_id",
    "check_name",
    "child_path",
    "hash_seed",
    "may_descend",
    "path_order",
    "step_key",
    "step_name",
]

RunId = NewType("RunId", UUID)
Claim = NewType("Claim", UUID)
"""Identifies an attempt. Its claimer knows it, and each reader of its pod's spec."""

Token = NewType("Token", UUID)
"""The secret that `begin` gives for a claim, once: the right to write the attempt's steps and end."""

StepKey = NewType("StepKey", str)

MAX_NAME_BYTES = 512
"""Longest name of a step, a run or a queue, in bytes of UTF-8."""

RESERVED_PREFIX = "perdure."
"""Names of recorded values begin so; names of steps must not."""

CANCEL_KEY = f"{RESERVED_PREFIX}cancel"
"""Key of the checkpoint at which a cancellation struck a run's workflow, which cleans up from there on."""

_LONG_PATH = 120
"""Characters from which on the path of a branch is replaced by its hash in those of its children."""

_HASHED = "~"

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SEPARATORS = re.compile(r"[/#\x00-\x1f\x7f\ud800-\udfff]")


def check_id(name: str, what: str) -> str:
    """Return `name` if it can be the id of a run or the name of a queue (`what`, for the message): one line of text.

    Raises:
        DefinitionError: it is empty, longer than 512 bytes, or has a control character or a lone surrogate.
    """
    if not isinstance(name, str):
        raise DefinitionError(f"the {what} is text, not {type(name).__name__}")
    if not name.strip():
        raise DefinitionError(f"the {what} is empty: give it one, or leave it out")
    if found := _UNPRINTABLE.search(name):
        raise DefinitionError(
            f"the {what} cannot contain {found.group()!r} (in {name[:80]!r}): it is one line of text, without control"
            " characters"
        )
    _check_length(name, what)
    return name


def check_name(name: str, what: str) -> str:
    """Return `name` if it can name a step (`what`, for the message), whose keys are composed of names.

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
    _check_length(name, f"name of a {what}")
    return name


def _check_length(name: str, what: str) -> None:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise DefinitionError(
            f"the {what} has {len(name.encode())} bytes, {MAX_NAME_BYTES} are the most: {name[:60]!r}..."
        )


def hash_seed(run: UUID) -> int:
    """The `PYTHONHASHSEED` of the processes of a run, in all of which sets of strings then have one order."""
    return int.from_bytes(blake2b(run.bytes, digest_size=4).digest())


def child_path(parent: str, number: int) -> str:
    """The path of the `number`-th branch that a branch creates ('' is the main one); never longer than about 150."""
    if len(parent) > _LONG_PATH:
        level = 1 + (int(parent[1:].partition("-")[0]) if parent[0] == _HASHED else 0)
        parent = f"{_HASHED}{level}-{blake2b(parent.encode(), digest_size=10).hexdigest()}"
    return f"{parent}.{number}" if parent else str(number)


def path_order(path: str) -> tuple[int, ...]:
    """Sorts paths of branches as they were created: siblings by number, each branch before those that it creates.

    Of branches far from each other whose paths were hashed the order is any, but the same on replay.
    """
    if not path:
        return ()
    first, *others = path.split(".")
    if first[0] == _HASHED:
        level, _, digest = first[1:].partition("-")
        first = str((int(level) << 80) + int(digest, 16))
    return (int(first), *map(int, others))


def may_descend(path: str, ancestor: str) -> bool:
    """Whether a branch may be another one or created by it: a hashed path may be anything."""
    return path == ancestor or path.startswith((f"{ancestor}.", _HASHED))


def step_key(branch: str, name: str, occurrence: int) -> StepKey:
    """Compose the key of the `occurrence`-th step (from 1) of this name in a branch ('' is the main one)."""
    key = name if occurrence == 1 else f"{name}#{occurrence}"
    return StepKey(f"{branch}/{key}" if branch else key)


def step_name(key: str) -> str:
    """The name in a step's key."""
    return key.rpartition("/")[2].partition("#")[0]
