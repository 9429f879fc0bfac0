"""The events for `kubectl describe`: the differences between the written status and the next one.

So each is posted once, with its status; an operator that dies in between loses or repeats at most one.
"""

from __future__ import annotations

from typing import Final

from perdure.attempt_ends import AttemptEnd, EndClass

from ..actions import PostEvent
from ..observed import Ended, Observed, Status
from ..plan import Kind, Reason, Situation
from .status import IMAGE_CHANGED, is_stalled, reason_of

__all__ = ["events", "warnings"]

_CRASHED: Final = {AttemptEnd.NEVER_BEGUN: "never began", AttemptEnd.LOST: "was lost", AttemptEnd.CRASHED: "crashed"}
_WHILE_RUNNING: Final = frozenset({Reason.RUNNING, Reason.SUSPENDING, Reason.CANCELLING, Reason.STORE_SUSPECTED})
_BETWEEN_ATTEMPTS: Final = frozenset(
    {Reason.BACKING_OFF, Reason.SUSPENDED, Reason.AT_CAPACITY, Reason.PENDING, Reason.INVALID_SPEC, Reason.WAITING}
    | {Reason.STORE_UNREACHABLE, Reason.CANNOT_START, Reason.BEGUN_ELSEWHERE, Reason.NAMESPACE_REFUSED}
)


def events(observed: Observed, situation: Situation, new: Status) -> list[PostEvent]:
    """The events for the changes from the written status to `new`."""
    return [*_story(observed, situation, new), *warnings(observed.workflow.status, new)]


def warnings(old: Status, new: Status) -> list[PostEvent]:
    """The events about problems in spite of which the run continues."""
    changed = new.conditions.get(IMAGE_CHANGED)
    if changed is None or IMAGE_CHANGED in old.conditions:
        return []
    return [PostEvent(IMAGE_CHANGED, changed.message, warning=True)]


def _story(observed: Observed, situation: Situation, new: Status) -> list[PostEvent]:
    old = observed.workflow.status
    before = reason_of(old)
    last = None if observed.run is None else observed.run.last
    if situation.kind is Kind.SUCCEEDED:
        return [*_missed_start_of_last(last, old, new), PostEvent("Succeeded", situation.message)]
    if situation.kind is Kind.FAILED:
        cancelled = situation.reason == Reason.CANCELLED
        end = PostEvent("Cancelled" if cancelled else "Failed", situation.message, warning=not cancelled)
        return [*_missed_start_of_last(last, old, new), end]
    told: list[PostEvent] = []
    if situation.reason == Reason.SUSPENDED:
        return [PostEvent("Suspended", situation.message)] if before != Reason.SUSPENDED else []
    if last is not None and _news(last, old, new):
        told += [*_missed_start(last, old, None), *_ended(last)]
    if before == Reason.SUSPENDED and situation.kind is Kind.GOING:
        told.append(PostEvent("Resuming", "not suspended any more"))
    if situation.kind is Kind.STALLED and (before != situation.reason or not is_stalled(old)):
        told.append(PostEvent(str(situation.reason), situation.message, warning=True))
    if situation.reason == Reason.STORE_SUSPECTED and before != Reason.STORE_SUSPECTED:
        told.append(PostEvent("StoreSuspected", situation.message, warning=True))
    if situation.reason == Reason.RUNNING and (before != Reason.RUNNING or old.attempts != new.attempts):
        told.append(_running(new, situation, before, old))
    return [event for event in told if event.reason]


def _news(last: Ended, old: Status, new: Status) -> bool:
    """Whether the written status still had the attempt that has ended."""
    if old.attempts > last.attempt or (old.attempts == 0 and reason_of(old) != Reason.STARTING):
        return False
    if old.attempts == last.attempt and reason_of(old) in _BETWEEN_ATTEMPTS:
        return False
    return new.attempts > last.attempt or reason_of(new) in _BETWEEN_ATTEMPTS or is_stalled(new)


def _ended(last: Ended) -> list[PostEvent]:
    how = last.detail or last.ending
    if last.ending in _CRASHED:
        return [PostEvent("Crashed", f"attempt {last.attempt} {_CRASHED[last.ending]}: {how}", warning=True)]
    if last.ending.counts_as is EndClass.DISRUPTION:
        return [PostEvent("Disrupted", f"attempt {last.attempt} was disrupted ({last.ending}): {how}")]
    if last.ending is AttemptEnd.COULD_NOT_START:
        return [PostEvent("GaveWay", f"attempt {last.attempt} could not start, and others wait: {how}", warning=True)]
    if last.ending is AttemptEnd.STORE_UNREACHABLE:
        return [PostEvent("StoreUnreachable", f"attempt {last.attempt} did not reach the store: {how}", warning=True)]
    if last.ending is AttemptEnd.BEGUN_ELSEWHERE:
        return [PostEvent("BegunElsewhere", f"attempt {last.attempt} was not its pod's: {how}", warning=True)]
    return []


def _missed_start_of_last(last: Ended | None, old: Status, new: Status) -> list[PostEvent]:
    """The start of the attempt that ended the run, if no status has shown it."""
    return _missed_start(last, old, new.pod_name) if last is not None and last.ending is AttemptEnd.COMPLETED else []


def _missed_start(last: Ended, old: Status, pod: str | None) -> list[PostEvent]:
    """The start of an attempt that began and ended between two reconciles, so that no status has shown it."""
    if not last.ending.begun or (old.attempts == last.attempt and reason_of(old) in _WHILE_RUNNING):
        return []
    where = "" if pod is None else f" in pod {pod}"
    return [PostEvent("Started" if last.attempt <= 1 else "Resumed", f"attempt {last.attempt} ran{where}")]


def _running(new: Status, situation: Situation, before: str | None, old: Status) -> PostEvent:
    if before in (Reason.SUSPENDING, Reason.CANCELLING) and old.attempts == new.attempts:
        return PostEvent("Resuming", "not suspended any more")
    if before == Reason.STORE_SUSPECTED and old.attempts == new.attempts:
        return PostEvent("Resumed", f"{situation.message}, and is heard of again")
    if new.attempts <= 1:
        return PostEvent("Started", situation.message)
    steps = new.steps_completed
    return PostEvent("Resumed", f"{situation.message}, after {steps} finished step{'' if steps == 1 else 's'}")
