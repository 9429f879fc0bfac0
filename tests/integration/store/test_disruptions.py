"""Disruptions of a cluster's runs: counted by themselves since the last new checkpoint, waited out, and limited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness.databases import Database, Databases

from .rows import Session

CLUSTER = "cluster:6c2f7a4e"
DISRUPTIONS = ["released", "evicted", "node lost"]
CRASHES = ["crashed", "lost", "never begun"]


@pytest.fixture
def store(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture(scope="module")
def store_of_all(databases: Databases) -> Iterator[Session]:
    """One for all examples."""
    database = databases.new()
    with closing(database.connect()) as connection:
        yield Session(connection)
    databases.drop(database)


def end(
    store: Session, run: UUID, ending: str, *, progress: bool = False, suspended: bool = False
) -> tuple[str, int, int, float]:
    """One attempt, suspended in the middle or not, and what the row says then: state, crashes, disruptions, delay."""
    attempt = store.begun(run)
    store.execute("UPDATE perdure.runs SET suspend = %s", suspended)
    if progress:
        number = store.run(run)["attempt"]
        assert store.checkpoint(attempt, f"step-{number}", number) == 0
    assert store.end_attempt(attempt, ending, "what happened") == 0
    store.execute("UPDATE perdure.runs SET suspend = false")
    row = store.run(run)
    return row["state"], row["crashes"], row["disruptions"], row["delay"]


@pytest.mark.parametrize("ending", DISRUPTIONS)
def test_disruptions_in_a_row_wait_longer_and_longer_and_past_twenty_end_the_run(store: Session, ending: str) -> None:
    run = store.insert(owner=CLUSTER, backoff_limit=0)
    rows = [end(store, run, ending) for _ in range(20)]
    assert [row[3] for row in rows] == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, *[300] * 10]
    assert {row[:2] for row in rows} == {("pending", 0)}
    assert end(store, run, ending)[:3] == ("failed", 0, 21)
    row = store.run(run)
    assert row["error"]["type"] == "perdure.errors:DisruptionLimitExceeded"
    assert "21 attempts in a row were disrupted" in row["error"]["message"]
    assert "what happened" in row["error"]["message"]
    assert row["error"]["args"] == [row["error"]["message"]]
    assert row["finished"] is not None


def test_the_three_kinds_are_one_count_and_crashes_another(store: Session) -> None:
    run = store.insert(owner=CLUSTER)
    assert [end(store, run, ending)[1:] for ending in ("evicted", "crashed", "node lost", "lost", "released")] == [
        (0, 1, 0),
        (1, 1, 0),
        (1, 2, 1),
        (2, 2, 1),
        (2, 3, 2),
    ]


def test_a_new_checkpoint_counts_disruptions_anew(store: Session) -> None:
    run = store.insert(owner=CLUSTER)
    assert [end(store, run, "evicted")[2] for _ in range(3)] == [1, 2, 3]
    assert end(store, run, "evicted", progress=True)[2:] == (1, 0)
    assert end(store, run, "evicted")[2:] == (2, 1)
    assert end(store, run, "crashed", progress=True)[1:3] == (1, 2), "a crash leaves that count alone"
    assert end(store, run, "evicted")[2:] == (1, 0), "and its checkpoint counts all the same"


def test_a_suspended_runs_release_is_no_disruption_but_its_checkpoints_count(store: Session) -> None:
    run = store.insert(owner=CLUSTER)
    assert [end(store, run, "evicted")[2] for _ in range(3)] == [1, 2, 3]
    assert end(store, run, "released", suspended=True)[1:] == (0, 3, 0)
    assert end(store, run, "evicted", suspended=True)[2:] == (4, 4), "which eviction still is"
    assert end(store, run, "released", progress=True, suspended=True)[2:] == (0, 0)
    assert end(store, run, "evicted")[2:] == (1, 0)


def test_a_cancelled_run_is_cancelled_whatever_the_counts_say(store: Session) -> None:
    run = store.insert(owner=CLUSTER)
    store.execute("UPDATE perdure.runs SET disruptions = 20")
    attempt = store.begun(run)
    store.cancel(run)
    assert store.end_attempt(attempt, "evicted") == 0
    row = store.run(run)
    assert (row["state"], row["error"]) == ("cancelled", None)


def test_a_crash_does_not_end_a_run_for_its_disruptions(store: Session) -> None:
    run = store.insert(owner=CLUSTER)
    store.execute("UPDATE perdure.runs SET disruptions = 20")
    assert end(store, run, "crashed")[:3] == ("pending", 1, 20)


@pytest.mark.parametrize("ending", DISRUPTIONS)
def test_a_queues_run_may_be_released_as_often_as_its_workers_stop(store: Session, ending: str) -> None:
    run = store.insert(backoff_limit=0)
    assert {end(store, run, ending) for _ in range(25)} == {("pending", 0, 0, 0)}


@settings(max_examples=25)
@given(
    limit=st.integers(0, 6),
    story=st.lists(st.tuples(st.sampled_from(DISRUPTIONS + CRASHES), st.booleans(), st.booleans()), max_size=40),
)
def test_any_story_counts_as_the_rules_say(
    store_of_all: Session, limit: int, story: list[tuple[str, bool, bool]]
) -> None:
    """Compare with the rules, said once more: a count begins anew with a checkpoint since it last changed."""
    store = store_of_all
    run = store.insert(owner=CLUSTER, backoff_limit=limit)
    crashes = disruptions = 0
    since_crash = since_disruption = False
    for ending, progress, suspended in story:
        since_crash, since_disruption = since_crash or progress, since_disruption or progress
        count = 0
        if ending in CRASHES:
            count = crashes = 1 if since_crash else crashes + 1
            since_crash = False
        else:
            disruptions = 0 if since_disruption else disruptions
            since_disruption = False
            if not (suspended and ending == "released"):
                count = disruptions = disruptions + 1
        state, *counted, delay = end(store, run, ending, progress=progress, suspended=suspended)
        assert counted == [crashes, disruptions]
        assert delay == (0 if count < 2 else min(300, 2 ** (count - 2)))
        over = ending in CRASHES and crashes > limit
        assert state == ("failed" if over or (disruptions > 20 and ending in DISRUPTIONS) else "pending")
        if state == "failed":
            return


def test_an_attempt_that_does_not_reach_the_store_never_counts_and_the_next_one_waits_up_to_a_minute(
    store: Session,
) -> None:
    run = store.insert(owner="cluster:1", backoff_limit=0)
    delays = []
    for _ in range(25):
        assert store.end_attempt(store.begun(run), "store unreachable") == 0
        row = store.run(run)
        delays.append(row["delay"])
        assert (row["state"], row["crashes"], row["disruptions"]) == ("pending", 0, 0)
    assert delays[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert store.end_attempt(store.begun(run), "evicted") == 0
    assert store.run(run)["delay"] == 0


def test_an_attempt_that_gave_its_place_back_never_counts_and_the_next_one_waits_up_to_a_quarter_of_an_hour(
    store: Session,
) -> None:
    run = store.insert(owner="cluster:1", backoff_limit=0)
    delays = []
    for _ in range(25):
        attempt = store.claim(run)
        assert attempt is not None
        assert store.end_attempt(attempt, "could not start") == 0
        row = store.run(run)
        delays.append(row["delay"])
        assert (row["state"], row["crashes"], row["disruptions"]) == ("pending", 0, 0)
    assert delays[:7] == [30, 60, 120, 240, 480, 900, 900]
    assert store.end_attempt(store.begun(run), "evicted") == 0
    assert store.run(run)["delay"] == 0
