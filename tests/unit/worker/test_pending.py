"""Delays are waited for on one's own clock, and each kind of work until a claim found no more of it."""

from __future__ import annotations

from uuid import UUID, uuid4

from perdure.names import RunId
from perdure.store.workers.claims import Delayed, Survey
from perdure.worker.pending import Kind, PendingRuns

RUN = RunId(UUID(int=1))
ORDINARY = {Kind.ASYNC, Kind.SYNC}


def delayed(due_in: float, *, delay: float = 4.0, attempt: int = 2, crashes: int = 1, run: RunId = RUN) -> Survey:
    return Survey(delayed=[Delayed(run, attempt, crashes, delay, due_in)])


def test_delay_by_the_servers_clock() -> None:
    backlog = PendingRuns()
    backlog.surveyed(delayed(3.0), 10.0)
    assert (backlog.work(12.9), backlog.next_due(10.0)) == (frozenset(), 13.0)
    assert backlog.work(13.0) == ORDINARY
    assert backlog.due(13.0) == [RUN]


def test_server_whose_clock_was_set_back_holds_a_run_for_no_longer_than_its_delay() -> None:
    backlog = PendingRuns()
    for now in range(10, 20):
        backlog.surveyed(delayed(3600.0), now)
        assert backlog.due(now) == ([RUN] if now >= 14 else [])


def test_next_attempt_waits_anew() -> None:
    backlog = PendingRuns()
    backlog.surveyed(delayed(4.0), 10.0)
    backlog.surveyed(delayed(8.0, delay=8.0, attempt=3), 12.0)
    assert backlog.next_due(12.0) == 20.0


def test_suspects_are_work_of_their_own() -> None:
    backlog = PendingRuns()
    backlog.surveyed(delayed(1.0, crashes=2), 10.0)
    assert backlog.work(11.0) == {Kind.SUSPECT}
    backlog.exhausted(frozenset(ORDINARY), 11.0)
    assert backlog.work(11.0) == {Kind.SUSPECT}
    backlog.exhausted(frozenset({Kind.SUSPECT}), 11.0)
    assert not backlog.work(11.0)


def test_kind_without_a_place_stays_to_be_claimed() -> None:
    backlog = PendingRuns()
    backlog.heard()
    backlog.exhausted(frozenset({Kind.ASYNC}), 10.0)
    assert backlog.work(10.0) == {Kind.SYNC}


def test_due_run_that_others_got_is_no_work() -> None:
    backlog = PendingRuns()
    backlog.surveyed(delayed(0.0), 10.0)
    backlog.exhausted(frozenset({Kind.ASYNC}), 10.0)
    assert backlog.work(10.0) == {Kind.SYNC}, "it may be of the other kind"
    backlog.exhausted(frozenset({Kind.SYNC}), 10.0)
    assert not backlog.work(10.0)


def test_claimed_run_is_waited_for_no_more() -> None:
    backlog = PendingRuns()
    backlog.surveyed(delayed(1.0), 10.0)
    backlog.claimed(RUN)
    assert backlog.next_due(10.0) is None


def test_survey_that_finds_work_finds_it_of_every_kind() -> None:
    backlog = PendingRuns()
    backlog.surveyed(Survey(ready=True, suspect=True), 10.0)
    assert backlog.work(10.0) == set(Kind)
    backlog.surveyed(delayed(5.0, run=RunId(uuid4())), 11.0)
    assert not backlog.work(11.0)
