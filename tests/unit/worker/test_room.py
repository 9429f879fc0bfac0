"""Places by kind, and who runs beside a suspect."""

from __future__ import annotations

from uuid import uuid4

from perdure.definitions import WorkflowDefinition
from perdure.names import Claim, RunId
from perdure.store.claims import ClaimedRun, Places
from perdure.worker.backlog import Kind
from perdure.worker.execution import Running
from perdure.worker.room import Room

ORDINARY = {Kind.ASYNC, Kind.SYNC}


def sync_one() -> None: ...


async def async_one() -> None: ...


DEFINITIONS = {"sync": WorkflowDefinition(sync_one), "async": WorkflowDefinition(async_one)}


def room() -> Room:
    return Room(DEFINITIONS, 3, 2)


def running(entrypoint: str = "async", *, crashes: int = 0, since: float = 0.0) -> Running:
    run = ClaimedRun(RunId(uuid4()), Claim(uuid4()), 1, "one", entrypoint, "{}", crashes, False, None)
    return Running(run, DEFINITIONS[entrypoint], since)


def test_places_of_each_kind() -> None:
    here = [running("async"), running("sync")]
    assert room().places(ORDINARY, here, 0.0) == Places(async_runs=2, sync_runs=1)
    assert room().places({Kind.SYNC}, here, 0.0) == Places(sync_runs=1)
    assert room().places(set(), here, 0.0) == Places()


def test_kind_of_which_no_workflow_is_known() -> None:
    only = Room({"sync": DEFINITIONS["sync"]}, 3, 2)
    assert only.places(ORDINARY, [], 0.0) == Places(sync_runs=2)


def test_suspect_waits_for_those_who_have_not_checkpointed() -> None:
    one, other = room(), running()
    work = {*ORDINARY, Kind.SUSPECT}
    assert one.places(work, [other], 0.0) == Places(), "nobody else is claimed meanwhile"
    other.checkpointed = True
    assert one.places(work, [other], 1.0) == Places(suspects=1)


def test_suspect_does_not_wait_for_ever() -> None:
    one, other = room(), running()
    assert one.places({Kind.SUSPECT}, [other], 0.0) == Places()
    assert one.places({Kind.SUSPECT}, [other], 59.0) == Places()
    assert one.places({Kind.SUSPECT}, [other], 60.0) == Places(suspects=1)


def test_nobody_is_claimed_beside_a_suspect_until_it_checkpoints() -> None:
    one, suspect = room(), running(crashes=2)
    one.claimed(suspect)
    assert one.places(ORDINARY, [suspect], 1.0) == Places()
    suspect.checkpointed = True
    assert one.places(ORDINARY, [suspect], 1.0) == Places(async_runs=2, sync_runs=2)


def test_suspect_with_a_long_step_does_not_keep_others_out_for_ever() -> None:
    one, suspect = room(), running(crashes=2)
    one.claimed(suspect)
    assert one.places(ORDINARY, [suspect], 9.0) == Places()
    assert one.places(ORDINARY, [suspect], 10.0) == Places(async_runs=2, sync_runs=2)


def test_suspect_that_ended_keeps_nobody_out() -> None:
    one, suspect = room(), running(crashes=2)
    one.claimed(suspect)
    one.forgotten(suspect)
    assert one.places(ORDINARY, [], 0.0).total == 5


def test_kinds_without_more() -> None:
    got = [running("async").run, running("sync").run]
    assert room().without_more(Places(async_runs=2, sync_runs=1), got) == {Kind.ASYNC}
    assert room().without_more(Places(suspects=1), []) == {Kind.SUSPECT}
