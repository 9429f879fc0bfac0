"""Checkpoints as they go to the store, the store's answers to them, and recorded steps as replay reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum

from ...errors import SchemaMismatch, StoreError, ValueNotStorable
from ...pauses import Pauses
from ..postgres.connection import Fault
from ..postgres.libpq import Parameters, WireError

__all__ = [
    "LOCK_PAUSES",
    "LOCK_TIMEOUT",
    "MOST_TOGETHER",
    "Answer",
    "CallKind",
    "Checkpoint",
    "Recorded",
    "Settled",
    "answer_of",
    "answers_of",
    "batch_parameters",
    "kind_of",
    "settled_by",
]

LOCK_TIMEOUT = 100
"""Milliseconds that a checkpoint may wait for a lock where others wait behind it."""

LOCK_PAUSES = Pauses(0.02, 0.5)
"""Pauses between two tries to write to a locked row; no other checkpoint waits meanwhile."""

MOST_TOGETHER = 512
"""Checkpoints in one statement."""


class Answer(IntEnum):
    """The store's answer to a write."""

    DONE = 0
    DONE_BEFORE = 1
    KEY_TAKEN = 2
    SUPERSEDED = 3
    GONE = 4
    SERVER_CHANGED = 5
    LOCKED = 6
    BEGUN_ELSEWHERE = 7
    CLIENT_TOO_OLD = 8
    LOGIN_OF_OTHERS = 9


_ANSWERS = {b"%d" % answer: answer for answer in Answer}
"""By the text of the number: to call the enum takes five times as long."""


class CallKind(Enum):
    """What a recorded call of workflow code is. Replay finds its record by key and kind.

    The letter is what the store keeps: it stays what it is for ever.
    """

    STEP = "s"

    def __init__(self, letter: str) -> None:
        self.stored = letter.encode()
        """The letter as the wire takes it. Each checkpoint needs it, and `value` costs a call."""

    def __str__(self) -> str:
        return self.name.lower()


_KINDS = {kind.stored: kind for kind in CallKind}


@dataclass(slots=True, eq=False)
class Checkpoint:
    """One step's outcome on its way to the store; ids and numbers as the wire takes them."""

    run: bytes
    token: bytes = field(repr=False)
    key: str
    ordinal: int
    name: str
    tries: int
    clock: int
    micros: int
    result: str | None
    error: str | None
    fingerprint: str | None = None
    kind: CallKind = CallKind.STEP

    @property
    def size(self) -> int:
        """Characters of its values."""
        return len(self.key) + len(self.name) + len(self.result or "") + len(self.error or "")

    def parameters(self) -> Parameters:
        """The parameters of the function `checkpoint`."""
        result, error = self.result, self.error
        return (
            self.run,
            self.token,
            self.key.encode(),
            b"%d" % self.ordinal,
            self.name.encode(),
            b"%d" % self.tries,
            b"%d" % self.clock,
            b"%d" % self.micros,
            None if result is None else result.encode(),
            None if error is None else error.encode(),
            None if self.fingerprint is None else self.fingerprint.encode(),
            self.kind.stored,
        )


@dataclass(slots=True, eq=False)
class Recorded:
    """One checkpoint: a result, an error, or neither (a step that workflow code cancelled). `clock` in microseconds.

    `fingerprint`: of the call's arguments, 32 hexadecimal digits; None where the step does without.
    `began`: the run's clock when the attempt began that stored it, in microseconds.
    """

    key: str
    ordinal: int
    attempt: int
    tries: int
    clock: int
    result: str | None
    error: str | None
    consumed: bool = False
    fingerprint: str | None = None
    kind: CallKind = CallKind.STEP
    began: int = 0

    @property
    def cancelled(self) -> bool:
        return self.result is None and self.error is None


Settled = Answer | StoreError | ValueNotStorable


def _quoted(values: list[str | None]) -> bytes:
    # One joined text is checked for all of them: keys, names and numbers have nothing to escape.
    text = "".join([value for value in values if value is not None])
    if '"' in text or "\\" in text:
        values = [None if v is None else v.replace("\\", "\\\\").replace('"', '\\"') for v in values]
    return ("{" + ",".join(["NULL" if value is None else f'"{value}"' for value in values]) + "}").encode()


def batch_parameters(checkpoints: Sequence[Checkpoint]) -> Parameters:
    """The parameters of the function `checkpoints`, as Postgres array literals."""
    return (
        b"{" + b",".join([c.run for c in checkpoints]) + b"}",
        b"{" + b",".join([c.token for c in checkpoints]) + b"}",
        _quoted([c.key for c in checkpoints]),
        b"{" + b",".join([b"%d" % c.ordinal for c in checkpoints]) + b"}",
        _quoted([c.name for c in checkpoints]),
        b"{" + b",".join([b"%d" % c.tries for c in checkpoints]) + b"}",
        b"{" + b",".join([b"%d" % c.clock for c in checkpoints]) + b"}",
        b"{" + b",".join([b"%d" % c.micros for c in checkpoints]) + b"}",
        _quoted([c.result for c in checkpoints]),
        _quoted([c.error for c in checkpoints]),
        _quoted([c.fingerprint for c in checkpoints]),
        b"{" + b",".join([c.kind.stored for c in checkpoints]) + b"}",
    )


def kind_of(value: bytes | None) -> CallKind:
    """The kind of a stored checkpoint.

    Raises:
        SchemaMismatch: a newer release stored it.
    """
    kind = _KINDS.get(value or b"")
    if kind is None:
        raise SchemaMismatch(
            f"a checkpoint of this run is of kind {(value or b'').decode()!r}, which this client does not know: a newer"
            " client stored it; upgrade this one, e.g. 'pip install --upgrade perdure'"
        )
    return kind


def answers_of(value: bytes | None) -> list[Answer]:
    """The answers of the function `checkpoints`."""
    return [_ANSWERS[part] for part in (value or b"{}")[1:-1].split(b",")]


def answer_of(value: bytes | None) -> Answer:
    """The answer of the function `checkpoint`."""
    return _ANSWERS[value or b"0"]


def settled_by(error: WireError) -> Settled | None:
    """The final result of a checkpoint whose write failed; None if another try may succeed."""
    if error.fault is Fault.REFUSED:
        return ValueNotStorable(f"Postgres refuses the value: {error}")
    if error.fault is Fault.UNUSABLE:
        return StoreError(f"the store refuses a checkpoint ({error}); is its schema there, and may this role use it?")
    return None
