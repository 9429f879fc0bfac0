"""What must hold of every run of the load, whatever struck it: told from its rows, the notes and its Workflow alone.

Finished steps repeated: a body began though its checkpoint was there, of this attempt or of one before it. (That an
older attempt, which has lost its run, begins a step that a newer one has finished is no repetition: nobody can keep
what is paused from going on, and nothing of it is accepted.) Or a database step's booking is not there exactly once.

Two accepted attempts: a checkpoint was accepted from an attempt that had lost the run, or out of the attempts' order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Any

from tests.cluster.product import workflows

from .load import Started
from .plans import RACED

__all__ = ["Story", "Violation", "Wrong", "judge", "silence"]

_Rows = Sequence[Mapping[str, Any]]


class Wrong(StrEnum):
    """What may be wrong with a run."""

    REPEATED = "finished steps repeated"
    STUCK = "runs stuck"
    TWO_ATTEMPTS = "runs with two accepted attempts"
    OUTCOME = "runs with a wrong outcome or status"


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with one run."""

    wrong: Wrong
    run: str
    what: str


@dataclass(frozen=True, slots=True)
class Story:
    """All that is known of one run: its rows in the store and the notes of its steps, each in order."""

    started: Started
    run: Mapping[str, Any] | None
    attempts: _Rows = ()
    checkpoints: _Rows = ()
    executions: _Rows = ()
    bookings: Sequence[str] = ()
    """The step keys of its database steps' bookings."""

    def checkpoint(self, key: str) -> Mapping[str, Any] | None:
        """That of a step."""
        return next((one for one in self.checkpoints if one["step_key"] == key), None)


def judge(story: Story) -> list[Violation]:
    """All that is wrong with a run."""
    name = story.started.plan.name
    if story.run is None or story.started.status is None or story.run["finished"] is None:
        return [Violation(Wrong.STUCK, name, f"{story.run}, {list(story.attempts)[-2:]}, {story.started.status}")]
    wrongs = {Wrong.REPEATED: _repeated, Wrong.TWO_ATTEMPTS: _two_attempts, Wrong.OUTCOME: _outcome}
    return [Violation(wrong, name, what) for wrong, find in wrongs.items() for what in find(story)]


def silence(story: Story) -> float:
    """The longest time for which a run that has ended had no progress, in seconds."""
    assert story.run is not None
    moments: list[datetime] = [story.run["created"], *(one["finished"] for one in story.checkpoints)]
    moments = sorted([*moments, story.run["finished"] or moments[-1]])
    return max((after - before).total_seconds() for before, after in pairwise(moments))


def _repeated(story: Story) -> Iterator[str]:
    for one in story.executions:
        if one["kept_of"] is not None and one["kept_of"] <= one["attempt"]:
            yield f"a finished step began again: {one}, {story.checkpoint(one['step_key'])}"
    booked, kept = Counter(story.bookings), _succeeded(story, "book")
    if booked != Counter(kept):
        yield f"booked {booked - Counter(kept)} more often than finished, and {Counter(kept) - booked} less often"


def _two_attempts(story: Story) -> Iterator[str]:
    for before, after in pairwise(story.checkpoints):
        if not (before["ordinal"] < after["ordinal"] and before["attempt"] <= after["attempt"]):
            yield f"two checkpoints out of order: {before}, {after}"
    claimed = {one["attempt"]: one["claimed"] for one in story.attempts}
    for one in story.checkpoints:
        if one["attempt"] not in claimed:
            yield f"a checkpoint of no attempt: {one}"
        elif (later := claimed.get(one["attempt"] + 1)) is not None and one["finished"] > later:
            yield f"a checkpoint of attempt {one['attempt']} after the next was claimed at {later}: {one}"
    for checkpoint, executed in _executions_of_results(story):
        if [(one["attempt"], one["done"]) for one in executed] != [(checkpoint["attempt"], True)]:
            yield f"a checkpoint that is not of one execution in its attempt: {checkpoint}, {executed}"
        elif not executed[0]["held_done"]:
            yield f"a checkpoint that was brought when its attempt had lost the run: {checkpoint}, {executed}"
    endings = [one["ending"] for one in story.attempts]
    if None in endings or endings.count("completed") > 1 or "completed" in endings[:-1]:
        yield f"attempts that ended so: {endings}"


def _outcome(story: Story) -> Iterator[str]:
    run, status = story.run, story.started.status
    assert run is not None
    assert status is not None
    allowed = {"succeeded", "cancelled"} if story.started.cancelled else {"succeeded"}
    if run["state"] not in allowed or run["claim"] is not None:
        yield f"the run ended {run['state']}, claim {run['claim']}: {run['error']}"
    told = {
        "reason": workflows.condition({"status": status}, "Finished").get("reason"),
        "attempts": status.get("attempts"),
        "steps": status.get("steps", {}).get("completed"),
        "result": status.get("result"),
    }
    stored = {
        "reason": str(run["state"]).capitalize(),
        "attempts": run["attempt"],
        "steps": len(story.checkpoints),
        "result": run["result"],
    }
    if told != stored:
        yield f"the status says {told}, the store {stored}"
    if [one["attempt"] for one in story.attempts] != list(range(1, run["attempt"] + 1)):
        yield f"its attempts are {[one['attempt'] for one in story.attempts]}, of {run['attempt']}"
    if run["state"] == "succeeded":
        yield from _result(story, run["result"])


def _result(story: Story, returned: Sequence[str]) -> Iterator[str]:
    plan, kept = story.started.plan, {one["result"] for one in story.checkpoints}
    unused = kept - set(returned) - {None}
    if (
        len(returned) != plan.steps
        or len(set(returned)) != plan.steps
        or not kept.issuperset(returned)
        or (unused and plan.shape != RACED)
    ):
        yield f"of {plan} came {returned}, of checkpoints {kept}"


def _succeeded(story: Story, name: str) -> list[str]:
    return [one["step_key"] for one in story.checkpoints if one["name"] == name and one["result"] is not None]


def _executions_of_results(story: Story) -> Iterator[tuple[Mapping[str, Any], _Rows]]:
    """Every checkpoint with a result, and the executions that have it as their token."""
    by_token: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for one in story.executions:
        by_token.setdefault((one["step_key"], one["id"].hex[:12]), []).append(one)
    for checkpoint in story.checkpoints:
        if checkpoint["result"] is not None:
            yield checkpoint, by_token.get((checkpoint["step_key"], checkpoint["result"]), [])
