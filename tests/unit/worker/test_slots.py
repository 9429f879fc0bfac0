"""Free slots by kind, and which runs a suspect shares its process with."""

from __future__ import annotations

from uuid import uuid4

from perdure.definitions import WorkflowDefinition
from perdure.names import Claim, RunId, Token
from perdure.store.workers.claims import ClaimedRun, FreeSlots
from perdure.worker.executor import Running
from perdure.worker.pending import Kind
from perdure.worker.slots import Slots

ORDINARY = {Kind.ASYNC, Kind.SYNC}


def sync_one() -> None: ...


async def async_one() -> None: ...


DEFINITIONS = {"sync": WorkflowDefinition(sync_one), "async": WorkflowDefinition(async_one)}


def slots() -> Slots:
    return Slots(DEFINITIONS, 3, 2)


def running(entrypoint: str = "async", *, crashes: int = 0, since: float = 0.0) -> Running:
    claim = Claim(uuid4())
    run = ClaimedRun(
        run_id=RunId(uuid4()),
        id="one",
        token=Token(claim),
        number=1,
        entrypoint=entrypoint,
        input="{}",
        claim=claim,
        crashes=crashes,
    )
    return Running(run, DEFINITIONS[entrypoint], since)


def test_places_of_each_kind() -> None:
    here = [running("async"), running("sync")]
    assert slots().free(ORDINARY, here, 0.0) == FreeSlots(async_runs=2, sync_runs=1)
    assert slots().free({Kind.SYNC}, here, 0.0) == FreeSlots(sync_runs=1)
    assert slots().free(set(), here, 0.0) == FreeSlots()


def test_kind_of_which_no_workflow_is_known() -> None:
    only = Slots({"sync": DEFINITIONS["sync"]}, 3, 2)
    assert only.free(ORDINARY, [], 0.0) == FreeSlots(sync_runs=2)


def test_suspect_waits_for_those_who_have_not_checkpointed() -> None:
    one, other = slots(), running()
    work = {*ORDINARY, Kind.SUSPECT}
    assert one.free(work, [other], 0.0) == FreeSlots(), "nobody else is claimed meanwhile"
    other.checkpointed = True
    assert one.free(work, [other], 1.0) == FreeSlots(suspects=1)


def test_suspect_does_not_wait_for_ever() -> None:
    one, other = slots(), running()
    started = [now for now in range(200) if one.free({*ORDINARY, Kind.SUSPECT}, [other], float(now)).suspects]
    assert 60 <= started[0] <= 80


def test_others_are_not_kept_out_for_ever() -> None:
    """While a suspect waits for one that does not checkpoint, others come every second ten seconds."""
    one, other = slots(), running()
    work = {*ORDINARY, Kind.SUSPECT}
    kept_out = [not one.free(work, [other], float(now)).async_runs for now in range(60)]
    assert kept_out == ([True] * 10 + [False] * 10) * 3


def test_suspects_with_long_steps_have_half_of_the_time_at_most() -> None:
    """Four of them, each a minute without a checkpoint, and others that come all the time and end at once."""
    one, work = slots(), {*ORDINARY, Kind.SUSPECT}
    here: list[Running] = []
    kept_out, longest, total, done = 0, 0, 0, 0
    for now in range(1000):
        for over in [run for run in here if now - run.since >= 60]:
            one.forgotten(over)
            here.remove(over)
            done += 1
        places = one.free(work if done + len(here) < 4 else ORDINARY, here, float(now))
        if places.suspects:
            here.append(running(crashes=2, since=float(now)))
            one.claimed(here[-1])
        kept_out = 0 if places.async_runs else kept_out + 1
        longest, total = max(longest, kept_out), total + (not places.async_runs)
    assert done == 4, "and all of them had their turn"
    assert longest <= 20
    assert total <= 4 * 20


def test_suspect_starts_at_once_where_nobody_else_waits() -> None:
    one = slots()
    for now in range(0, 100, 10):
        assert one.free({Kind.SUSPECT}, [], float(now)) == FreeSlots(suspects=1)
        suspect = running(crashes=2, since=float(now))
        one.claimed(suspect)
        one.forgotten(suspect)


def test_others_have_their_turn_between_two_suspects() -> None:
    one, work = slots(), {*ORDINARY, Kind.SUSPECT}
    assert one.free(work, [], 0.0) == FreeSlots(suspects=1)
    suspect = running(crashes=2)
    one.claimed(suspect)
    assert one.free(work, [suspect], 5.0) == FreeSlots()
    one.forgotten(suspect)
    # As long as it kept them out.
    assert one.free(work, [], 6.0) == FreeSlots(async_runs=3, sync_runs=2)
    assert one.free(work, [], 11.0) == FreeSlots(async_runs=3, sync_runs=2)
    assert one.free(work, [], 12.0) == FreeSlots(suspects=1)


def test_nobody_is_claimed_beside_a_suspect_until_it_checkpoints() -> None:
    one, suspect = slots(), running(crashes=2)
    one.claimed(suspect)
    assert one.free(ORDINARY, [suspect], 1.0) == FreeSlots()
    suspect.checkpointed = True
    assert one.free(ORDINARY, [suspect], 1.0) == FreeSlots(async_runs=2, sync_runs=2)


def test_suspect_with_a_long_step_does_not_keep_others_out_for_ever() -> None:
    one, suspect = slots(), running(crashes=2)
    one.claimed(suspect)
    assert one.free(ORDINARY, [suspect], 9.0) == FreeSlots()
    assert one.free(ORDINARY, [suspect], 10.0) == FreeSlots(async_runs=2, sync_runs=2)


def test_suspect_that_ended_keeps_nobody_out() -> None:
    one, suspect = slots(), running(crashes=2)
    one.claimed(suspect)
    one.forgotten(suspect)
    assert one.free(ORDINARY, [], 0.0).total == 5


def test_kinds_without_more() -> None:
    got = [running("async").run, running("sync").run]
    assert slots().without_more(FreeSlots(async_runs=2, sync_runs=1), got) == {Kind.ASYNC}
    assert slots().without_more(FreeSlots(suspects=1), []) == {Kind.SUSPECT}
