"""From every run, pod and wish that an operator may come upon: to an end or a named wait, and never two live claims.

It knows nothing of how things came to be so. From then on everybody does what is next, without faults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

import pytest

from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import ContainerEnd, Pod, PodPhase, Stage
from perdure_operator.decide.plan import Reason
from tests.unit.operator.decide.builders import NOW, STORE, ago, spec, started, token
from tests.unit.operator.decide.model_store import CANCEL, Attempt, Row
from tests.unit.operator.decide.world import Process, World

CLAIM = token(1)
STRANGER = token(1, other=1)


@dataclass(frozen=True)
class There:
    """A pod as it is found, and what is in it."""

    phase: PodPhase
    stage: Stage = Stage.STARTED
    alive: bool = True
    frozen: bool = False
    deaf: bool = False
    deleting: bool = False
    code: int | None = None
    claim: Claim = CLAIM
    waiting: tuple[str, str] | None = None


PODS: Mapping[str, There | None] = {
    "none": None,
    "unbound": There(PodPhase.PENDING, Stage.UNBOUND),
    "bound to a node that is gone": There(PodPhase.PENDING, Stage.BOUND, frozen=True),
    "unschedulable": There(PodPhase.PENDING, Stage.UNBOUND, waiting=("Unschedulable", "no node")),
    "without its image": There(PodPhase.PENDING, Stage.TAKEN, waiting=("ImagePullBackOff", "not found")),
    "running": There(PodPhase.RUNNING),
    "running, its process dead": There(PodPhase.RUNNING, alive=False, code=137),
    "running, its node gone": There(PodPhase.RUNNING, frozen=True),
    "running and deaf": There(PodPhase.RUNNING, deaf=True),
    "going": There(PodPhase.RUNNING, deleting=True),
    "going, its node gone": There(PodPhase.RUNNING, deleting=True, frozen=True),
    "failed": There(PodPhase.FAILED, alive=False, code=137),
    "released": There(PodPhase.FAILED, alive=False, code=75),
    "superseded": There(PodPhase.FAILED, alive=False, code=76),
    "another claim's": There(PodPhase.RUNNING, claim=STRANGER),
}


def _row(state: RunState = RunState.PENDING, *, attempt: int = 0, steps: int = 0, **changes: object) -> Row:
    row = Row(backoff_limit=6, deadline_seconds=None, suspend=False, state=state, attempt=attempt)
    row.steps = {f"step-{number}": 1 for number in range(steps)}
    if attempt:
        row.attempts = {1: Attempt(CLAIM)}
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def _cancelled(told: float | None) -> Row:
    """A run that may clean up, in an attempt whose workflow was told so then."""
    row = _row(RunState.RUNNING, attempt=1, steps=1, claim=CLAIM, begun=True, started=-100.0)
    row.cancel, row.cleanup = True, 60.0
    if told is not None:
        row.steps[CANCEL], row.told = 1, told
    return row


def _rows() -> Mapping[str, Row | None]:
    crashed = {1: Attempt(CLAIM, begun=True, ending="crashed", at=NOW)}
    evicted = {1: Attempt(CLAIM, begun=True, ending="evicted", at=NOW)}
    return {
        "none": None,
        "new": _row(),
        "crashed": _row(attempt=1, steps=1, attempts=crashed, crashes=1),
        "backing off": _row(attempt=1, steps=1, attempts=crashed, crashes=2, delay=8.0, available=8.0),
        "used up": _row(attempt=1, attempts=crashed, crashes=7),
        "disrupted": _row(attempt=1, steps=2, attempts=evicted, disruptions=1),
        "claimed": _row(attempt=1, claim=CLAIM),
        "begun": _row(RunState.RUNNING, attempt=1, steps=1, claim=CLAIM, begun=True, started=0.0),
        "to clean up": _row(attempt=1, steps=1, attempts=crashed, cancel=True, cleanup=60.0, started=-100.0),
        "to be told": _cancelled(None),
        "cleaning up": _cancelled(-5.0),
        "cleaning up for long": _cancelled(-59.0),
        "succeeded": _row(RunState.SUCCEEDED, attempt=1, steps=3, finished=NOW),
        "failed": _row(RunState.FAILED, attempt=1, finished=NOW, error='{"type": "a:B", "message": "m"}'),
        "cancelled": _row(RunState.CANCELLED, attempt=1, finished=NOW),
    }


ROWS = _rows()
STATUSES = {"no status": None, "started": started(start_time=ago(50)), "running": started(attempts=1)}
ENDS = (Reason.SUCCEEDED, Reason.FAILED, Reason.CANCELLED, Reason.BACKOFF_LIMIT_EXCEEDED)
WISHES = {
    ", ".join(word for word, on in zip(("suspend", "cancel", "delete"), given, strict=True) if on) or "go on": given
    for given in product((False, True), repeat=3)
}


def world_of(row: str, pod: str, wish: str, status: str, *, asked: bool) -> World:
    """A world as it is found; `asked`: the store has been told to cancel the run, too."""
    suspend, cancel, delete = WISHES[wish]
    world = World(spec(suspend=suspend, cancel=cancel))
    assert world.workflow is not None
    if (told := STATUSES[status]) is not None:
        world.workflow = replace(world.workflow, status=told)
    given = _rows()[row]
    if given is not None and asked and not given.state.ended:
        given.cancel = True
    world.store.row = given
    world.done_ever = dict.fromkeys(given.steps, 0) if given is not None else {}
    if (there := PODS[pod]) is not None:
        _place(world, there)
    if delete:
        world.delete_workflow()
    return world


def _place(world: World, there: There) -> None:
    uid, row = f"pod-1-{there.claim}", world.store.row
    end = None if there.code is None or there.phase is PodPhase.RUNNING else ContainerEnd(there.code, "Error")
    world.pods[uid] = Pod(
        "pod-1",
        uid,
        1,
        there.claim,
        there.phase,
        ago(40),
        node=None if there.stage is Stage.UNBOUND else "node-1",
        deleting=there.deleting,
        waiting=there.waiting,
        end=end,
        finished_at=None if end is None else ago(1),
        stage=there.stage,
        progressed=ago(39),
        generation=1,
    )
    begun = row is not None and row.begun and row.claim == there.claim and there.phase is not PodPhase.PENDING
    process = Process(there.claim, begun=begun, alive=there.alive, frozen=there.frozen, deaf=there.deaf)
    process.steps = list(row.steps) if begun and row is not None else []
    process.code = there.code or 0
    process.silent_since = 0.0 if there.frozen or not there.alive else None
    world.processes[uid] = process


def rest_of(world: World) -> str:
    """Let everybody do what is next; the end, or what is waited for."""
    operator = world.operators[0]
    for number in range(150):
        world.watch(operator)
        world.reconcile(operator)
        assert not world.violations, world.violations
        assert world.rounds == 0
        live = [process for process in world.processes.values() if process.alive and process.begun]
        owners = [process for process in live if world.store.row is not None and process.claim == world.store.row.claim]
        assert len(owners) <= 1
        if (rest := _rest(world)) is not None:
            return rest
        for uid in sorted(world.pods):
            if world.processes[uid].frozen and number > 50 and world.pods[uid].phase is not PodPhase.PENDING:
                world.collect(uid)
                continue
            world.kubelet(uid)
            world.process(uid)
            world.kubelet(uid)
        world.sleep(5.0)
    raise AssertionError((world.reason, world.store.row, world.pods))


def _rest(world: World) -> str | None:
    row = world.store.row
    if world.workflow is not None and world.workflow.deleting:
        return "gone" if row is None or row.state.ended else None
    if world.finished or world.reason in (Reason.SUSPENDED, Reason.CHECKPOINTS_MISSING):
        return str(world.reason)
    return None


def combinations(row: str) -> Iterator[tuple[str, str, str, bool]]:
    yield from product(PODS, WISHES, STATUSES, (False, True))


def lacks_something(row: str, pod: str, status: str) -> bool:
    """Whether status or pod show that there was a run, or an attempt at it, that the store does not know."""
    if row == "none":
        return status != "no status" or PODS[pod] is not None
    return row == "new" and (status == "running" or (status == "started" and PODS[pod] is not None))


@pytest.mark.parametrize("row", ROWS)
def test_to_an_end_or_a_named_wait(row: str) -> None:
    for pod, wish, status, asked in combinations(row):
        world = world_of(row, pod, wish, status, asked=asked)
        suspend, cancel, delete = WISHES[wish]
        try:
            rest = rest_of(world)
            assert world.store.id == STORE
            if delete:
                assert rest == "gone"
            elif cancel:
                assert rest in ENDS
            elif lacks_something(row, pod, status):
                assert rest == Reason.CHECKPOINTS_MISSING
            elif suspend:
                assert rest in (Reason.SUSPENDED, *ENDS)
            else:
                assert rest in ENDS
        except AssertionError as error:
            raise AssertionError(f"run {row}; pod {pod}; asked: {wish}; {status}; told the store: {asked}") from error


def test_how_many_that_is() -> None:
    assert (len(ROWS), len(PODS), len(WISHES), len(STATUSES)) == (15, 15, 8, 3)
    assert sum(1 for row in ROWS for _ in combinations(row)) == 10800
