"""The store's rows as dataclasses, and a Workflow as the row of its run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from perdure.attempt_ends import AttemptEnd
from perdure.errors import UsageError
from perdure.names import Claim
from perdure.pod.source import source_of_files
from perdure.store.runs.model import RunState
from perdure.store.runs.runs import NewRun

from ..decide.observed import Ended, Limits, Run, Workflow
from .clock import EventAges
from .pool import Row

__all__ = [
    "LONGEST_ERROR",
    "AttemptRecord",
    "RunCount",
    "RunListing",
    "RunLookup",
    "attempt_of_row",
    "brief_error",
    "listing_of_row",
    "new_run",
    "run_of_row",
]

LONGEST_ERROR: Final = 16384
"""Characters of an error's JSON text that are read: type and message come first in it."""

_LONGEST_MESSAGE: Final = 4096
_TEXT = r'"((?:[^"\\]|\\.)*)'
_TYPE = re.compile(rf'"type"\s*:\s*{_TEXT}"', re.DOTALL)
_MESSAGE = re.compile(rf'"message"\s*:\s*{_TEXT}', re.DOTALL)


@dataclass(frozen=True, slots=True)
class RunLookup:
    """The result of a lookup: the run, None if the store has none of this owner with that id, and the store's id.

    Attributes:
        other_owner: the owner of the run with that id, if it is another one.
    """

    store_id: UUID
    run: Run | None
    other_owner: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """The record of an attempt, so far.

    Attributes:
        ending: None before its end.
        image: the id of its image, once that is noted.
        began_after: seconds from its claim to the begin of its process.
        stepped_after: seconds from its claim to the start of the first of its steps; None until one is finished.
    """

    attempt: int
    ending: AttemptEnd | None
    image: str | None
    began_after: float | None
    stepped_after: float | None


@dataclass(frozen=True, slots=True)
class RunListing:
    """The fields of a run for a resync; `held`: it is claimed."""

    uid: UUID
    namespace: str
    name: str
    state: RunState
    attempt: int
    held: bool
    cancel: bool


@dataclass(frozen=True, slots=True)
class RunCount:
    """The number of runs of a namespace in a state; `held`: they are claimed, so each has a pod or will get one."""

    namespace: str
    state: RunState
    held: bool
    runs: int


def new_run(workflow: Workflow, owner: str, files: Mapping[str, str] | None) -> NewRun:
    """The run of a Workflow, with the files of its source.

    Raises:
        UsageError: the Workflow has no valid spec.
    """
    spec = workflow.spec
    if spec is None:
        raise UsageError(f"Workflow {workflow.key} has no valid spec, so there is nothing to run")
    return NewRun(
        run_id=workflow.uid,
        owner=owner,
        namespace=workflow.key.namespace,
        id=workflow.key.name,
        entrypoint=spec.entrypoint,
        input=spec.input,
        source=None if files is None else source_of_files(files),
        backoff_limit=spec.backoff_limit,
        deadline=spec.active_deadline_seconds,
        suspend=spec.suspend,
    )


def run_of_row(row: Row, ages: EventAges) -> Run:
    """The run in a row; `ages` keeps the ages of its events."""
    uid: UUID = row["id"]
    state = RunState(row["state"])
    claim = None if row["claim"] is None else Claim(row["claim"])
    claimed_for = due_in = 0.0
    deadline_in: float | None = None
    if state.ended:
        ages.forget(uid)
    else:
        if claim is not None:
            claimed_for = ages.of(uid, "claim", claim, row["claimed_for"] or 0.0)
        elif row["delay"] > 0:
            waited = ages.of(uid, "delay", row["attempt"], row["delay"] - row["due_in"])
            due_in = max(0.0, row["delay"] - waited)
        if row["deadline_from"] is not None and row["deadline_seconds"] is not None:
            age = ages.of(uid, "deadline", row["deadline_from"], row["deadline_for"])
            deadline_in = row["deadline_seconds"] - age
    return Run(
        state=state,
        attempt=row["attempt"],
        claim=claim,
        begun=row["begun"],
        limits=Limits(
            row["backoff_limit"], row["deadline_seconds"], row["suspend"], row["cancel"], row["disruption_limit"]
        ),
        claimed_for=claimed_for,
        crashes=row["crashes"],
        disruptions=row["disruptions"],
        due_in=due_in,
        delay=row["delay"],
        deadline_in=deadline_in,
        cleanup_left=row["cleanup_left"],
        cleans_up=row["cleans_up"],
        steps=row["steps"],
        current_step=row["current_step"],
        result=row["result"],
        result_bytes=row["result_bytes"],
        error=None if row["error"] is None else brief_error(row["error"]),
        started=row["started"],
        finished=row["finished"],
        image=row["image"],
        first_image=None if row["first_image"] is None else (row["first_image_attempt"], row["first_image"]),
        last=_last(row),
    )


def _last(row: Row) -> Ended | None:
    if row["last_attempt"] is None:
        return None
    return Ended(
        attempt=row["last_attempt"],
        ending=AttemptEnd(row["ending"]),
        code=row["code"],
        signal=row["signal"],
        detail=row["detail"],
        at=row["ended"],
        image=row["last_image"],
    )


def brief_error(text: str) -> str:
    """Type and message of a recorded error, as a JSON text; `text` is the beginning of its own, and may be cut off."""
    try:
        document = json.loads(text)
        found = {"type": str(document["type"]), "message": str(document["message"])}
    except (ValueError, KeyError, TypeError, RecursionError):
        found = {"type": _cut_text(_TYPE.search(text)), "message": _cut_text(_MESSAGE.search(text))}
    message = found["message"]
    if len(message) > _LONGEST_MESSAGE:
        found["message"] = message[:_LONGEST_MESSAGE] + "..."
    return json.dumps(found)


def _cut_text(found: re.Match[str] | None) -> str:
    """The beginning of a JSON string that was cut off."""
    inside = "" if found is None else found.group(1)
    # An escape has six characters at most: without the last five, none of it can be left half.
    for less in range(min(6, len(inside) + 1)):
        try:
            return str(json.loads(f'"{inside[: len(inside) - less]}"', strict=False))
        except ValueError:
            continue
    return inside


def attempt_of_row(row: Row) -> AttemptRecord:
    """An attempt that the store has."""
    ending = row["ending"]
    return AttemptRecord(**{**row, "ending": None if ending is None else AttemptEnd(ending)})


def listing_of_row(row: Row) -> RunListing:
    """The fields of a run for a resync."""
    return RunListing(
        row["id"], row["namespace"], row["name"], RunState(row["state"]), row["attempt"], row["held"], row["cancel"]
    )
