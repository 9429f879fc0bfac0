"""What the schema's functions answer, and what a claim and a checkpoint do when they meet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from tests.harness.databases import Database
from tests.harness.eventually import eventually

from .rows import OWNER, Session


@pytest.fixture
def store(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture
def other(database: Database) -> Iterator[Session]:
    with closing(database.connect()) as connection:
        yield Session(connection)


@pytest.fixture
def aside() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def waits_for_lock(watcher: Session, waiting: Session) -> None:
    """Return once the other session's statement waits for a lock."""
    pid = waiting.connection.info.backend_pid
    eventually(lambda: watcher.execute("SELECT pg_blocking_pids(%s) <> '{}'", pid) == [(True,)])


def steps(store: Session) -> list[str]:
    return [key for (key,) in store.execute("SELECT step_key FROM perdure.steps ORDER BY run_id, ordinal")]


# --- checkpoint


def test_checkpoint_of_the_owner_is_stored_with_its_attempt_and_duration(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert store.checkpoint(attempt, "2/charge#3", 7, {"paid": 1.50}) == 0
    assert store.execute(
        "SELECT step_key, ordinal, name, attempt, result::text, error, finished - started > interval '0.9 ms'"
        " FROM perdure.steps"
    ) == [("2/charge#3", 7, "charge", 1, '{"paid": 1.5}', None, True)]


def test_json_text_is_preserved_to_the_letter(store: Session) -> None:
    attempt = store.begun(store.insert())
    text = '{"b":1.00,  "a":12345678901234567890123, "a": 2}'
    store.execute("SELECT perdure.checkpoint(%s, %s, 'k', 1, 'k', 1, 0, 0, %s, NULL)", attempt.run, attempt.token, text)
    assert store.execute("SELECT result::text FROM perdure.steps") == [(text,)]


def test_the_kind_of_what_a_checkpoint_is_of_comes_back_as_it_was_given(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert store.checkpoint(attempt, "before kinds", 1) == 0
    assert store.checkpoints((attempt, "many before kinds", 2)) == [0]
    owner = (attempt.run, attempt.token)
    sql = "SELECT perdure.checkpoint(%s, %s, 'one', 3, 'one', 1, 0, 0, '1', NULL, NULL, 'a')"
    assert store.execute(sql, *owner) == [(0,)]
    sql = (
        "SELECT perdure.checkpoints(ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{many}', '{4}', '{many}', '{1}', '{0}',"
        " '{0}', '{1}', '{NULL}', '{NULL}', '{b}')"
    )
    assert store.execute(sql, *owner) == [([0],)]
    assert [(row[1], row[9]) for row in store.load(attempt)] == [
        ("before kinds", "s"),
        ("many before kinds", "s"),
        ("one", "a"),
        ("many", "b"),
    ]


def test_checkpoint_again_after_a_lost_answer_is_done(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert [store.checkpoint(attempt), store.checkpoint(attempt)] == [0, 1]


def test_checkpoint_under_a_key_that_another_call_has_is_told_apart(store: Session) -> None:
    run = store.insert()
    first = store.begun(run)
    assert store.checkpoint(first, "charge", 1) == 0
    assert store.checkpoint(first, "charge", 2) == 2
    second = store.begun(run)
    assert store.checkpoint(second, "charge", 1) == 2


def test_checkpoint_of_a_superseded_attempt_is_refused(store: Session) -> None:
    run = store.insert()
    old = store.begun(run)
    new = store.claim(run)
    assert new is not None
    assert store.checkpoint(old) == 3
    assert store.checkpoint(new) == 3, "it has not begun"
    assert steps(store) == []


@pytest.mark.parametrize("ending", ["finish", "release_run"])
def test_nothing_is_accepted_after_the_attempts_end(store: Session, ending: str) -> None:
    attempt = store.begun(store.insert())
    assert getattr(store, ending)(attempt) == 0
    assert store.checkpoint(attempt) == 3
    assert store.begin(attempt)["answer"] == 3
    assert store.heartbeat(attempt)[0] == 3
    with pytest.raises(psycopg.Error, match="superseded"):
        store.load(attempt)


def test_every_function_says_that_a_deleted_run_is_gone(store: Session) -> None:
    attempt = store.begun(store.insert())
    store.execute("DELETE FROM perdure.runs")
    store.execute("DELETE FROM perdure.attempts")
    assert store.checkpoint(attempt) == 4
    assert store.begin(attempt)["answer"] == 4
    assert store.heartbeat(attempt)[0] == 4
    assert store.finish(attempt) == 4
    assert store.release_run(attempt) == 4
    assert store.checkpoints((attempt, "a", 1)) == [4]


def test_nothing_is_accepted_on_another_timeline(store: Session) -> None:
    attempt = store.begun(store.insert())
    # As a standby that was promoted has it: the row came from the old primary, the log has gone on elsewhere.
    store.execute("UPDATE perdure.runs SET timeline = '7FFFFFFF'")
    assert store.checkpoint(attempt) == 5
    assert store.checkpoints((attempt, "a", 1)) == [5]
    assert store.finish(attempt) == 5
    assert steps(store) == []
    assert store.release_run(attempt) == 0, "what ends the attempt needs no agreement"


@pytest.mark.parametrize("state", ["pending", "claimed", "running", "succeeded", "cancelled"])
def test_null_is_nobodys_token(store: Session, state: str) -> None:
    run = store.insert()
    if state == "cancelled":
        store.cancel(run)
    elif state == "claimed":
        store.claim(run)
    elif state != "pending":
        attempt = store.begun(run)
        if state == "succeeded":
            store.finish(attempt)
    before = store.run(run)
    nobody = [run, None]
    [(begun,)] = store.execute("SELECT answer FROM perdure.begin(%s, %s, %s, 1, 'h', 1, 1, NULL)", *nobody, uuid4())
    assert begun == 3
    assert store.execute("SELECT perdure.checkpoint(%s, %s, 'k', 1, 'k', 1, 0, 0, '1', NULL)", *nobody) == [(3,)]
    assert store.execute(
        "SELECT perdure.checkpoints(ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{k}', '{1}', '{k}',"
        " '{1}', '{0}', '{0}', '{1}', '{1}')",
        *nobody,
    ) == [([3],)]
    assert store.execute("SELECT answer FROM perdure.heartbeat(%s, %s, 1, NULL)", *nobody) == [(3,)]
    assert store.execute("SELECT perdure.finish(%s, %s, 'failed', NULL, NULL)", *nobody) == [(3,)]
    assert store.execute("SELECT perdure.release_run(%s, %s, 'crashed', 1, NULL, NULL)", *nobody) == [(3,)]
    with pytest.raises(psycopg.Error, match="superseded"):
        store.execute("SELECT * FROM perdure.load(ARRAY[%s]::uuid[], ARRAY[%s]::uuid[])", *nobody)
    assert store.run(run) == before


def test_a_wrong_token_locks_nobodys_row(store: Session, other: Session) -> None:
    attempt = store.begun(store.insert())
    stranger = replace(attempt, claim=uuid4(), token=uuid4())
    with other.connection.transaction():
        assert other.checkpoint(stranger) == 3
        assert other.checkpoints((stranger, "a", 1)) == [3]
        assert other.begin(stranger)["answer"] == 3
        assert other.finish(stranger) == 3
        assert other.release_run(stranger) == 3
        assert store.execute("SELECT id FROM perdure.runs FOR UPDATE SKIP LOCKED") == [(attempt.run,)]


@pytest.mark.parametrize("setting", ["off", "local", "remote_write"])
def test_an_accepted_checkpoint_is_flushed_whatever_the_session_says(store: Session, setting: str) -> None:
    attempt = store.begun(store.insert())
    store.execute(f"SET synchronous_commit = {setting}")
    with store.connection.transaction():
        assert store.checkpoint(attempt) == 0
        assert store.execute("SHOW synchronous_commit") == [("on",)]
    with store.connection.transaction():
        assert store.checkpoints((attempt, "b", 2)) == [0]
        assert store.execute("SHOW synchronous_commit") == [("on",)]
    with store.connection.transaction():
        assert store.finish(attempt) == 0
        assert store.execute("SHOW synchronous_commit") == [("on",)]


# --- checkpoints


def test_a_batch_answers_each_in_its_order(store: Session) -> None:
    first, second, old = (store.begun(store.insert()) for _ in range(3))
    store.claim(old.run)
    gone = replace(first, run=uuid4())
    crossed = replace(first, token=second.token)
    answers = store.checkpoints(
        (second, "a", 1), (old, "a", 1), (first, "b", 2), (gone, "a", 1), (first, "a", 1), (crossed, "c", 3)
    )
    assert answers == [0, 3, 0, 4, 0, 3]
    assert [store.checkpoint(old), store.checkpoint(gone), store.checkpoint(crossed)] == [3, 4, 3]
    assert sorted(steps(store)) == ["a", "a", "b"]


def test_a_batch_leaves_a_locked_run_out_and_stores_the_others(store: Session, other: Session) -> None:
    locked, free = store.begun(store.insert()), store.begun(store.insert())
    with other.connection.transaction():
        other.execute("SELECT FROM perdure.runs WHERE id = %s FOR UPDATE", locked.run)
        assert store.checkpoints((locked, "a", 1), (free, "a", 1), (locked, "b", 2)) == [6, 0, 6]
    assert [store.checkpoint(locked, "a", 1), store.checkpoint(locked, "b", 2)] == [0, 0]


def test_a_batch_with_a_duplicate_stores_nothing_and_says_so(store: Session) -> None:
    first, second = store.begun(store.insert()), store.begun(store.insert())
    assert store.checkpoint(first, "a", 1) == 0
    with pytest.raises(psycopg.Error) as caught:
        store.checkpoints((second, "a", 1), (first, "a", 1))
    assert caught.value.sqlstate == "PD001"
    with pytest.raises(psycopg.Error) as caught:
        store.checkpoints((second, "a", 1), (second, "a", 2))
    assert caught.value.sqlstate == "PD001"
    assert steps(store) == ["a"]
    assert [store.checkpoint(second, "a", 1), store.checkpoint(second, "a", 2)] == [0, 2]


def test_a_poisoned_value_fails_the_batch_and_singly_only_itself(store: Session) -> None:
    attempt = store.begun(store.insert())
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        store.execute(
            "SELECT perdure.checkpoints(%s::uuid[], %s::uuid[], '{a,b}', '{1,2}', '{a,b}', '{1,1}',"
            " '{0,0}', '{0,0}', %s, '{NULL,NULL}')",
            [attempt.run] * 2,
            [attempt.token] * 2,
            ["1", "{no json"],
        )
    assert steps(store) == []
    assert store.checkpoint(attempt, "a", 1) == 0


# --- begin, load, heartbeat


def test_begin_tells_the_process_what_to_run(store: Session) -> None:
    attempt = store.claim(store.insert("transfer-17", input='{"amount": 100}', deadline_seconds=60.0))
    assert attempt is not None
    row = store.begin(attempt)
    assert (row["answer"], row["entrypoint"], row["input"]) == (0, "bank:transfer", {"amount": 100})
    assert (row["name"], row["namespace"], row["owner"], row["attempt"]) == ("transfer-17", "", OWNER, 1)
    assert 59 < row["deadline_in"] <= 60
    assert [(row["timeline"], row["system_identifier"])] == store.execute(
        "SELECT perdure.timeline(), system_identifier::text FROM pg_control_system()"
    )
    assert store.run(attempt.run)["state"] == "running"


def test_an_attempt_begins_once(store: Session) -> None:
    attempt = store.claim(store.insert())
    assert attempt is not None
    answers = [store.begin(attempt), store.begin(attempt), store.begin(attempt, process=uuid4())]
    assert [row["answer"] for row in answers] == [0, 1, 7]
    assert answers[1]["entrypoint"] == "bank:transfer"
    assert answers[2]["entrypoint"] is None
    assert store.run(attempt.run)["process"] == attempt.process
    assert answers[0]["token"] == answers[1]["token"] == store.run(attempt.run)["token"]
    assert answers[0]["token"] not in (None, attempt.claim, attempt.process)
    assert answers[2]["token"] is None


def test_the_claim_which_a_pods_spec_shows_opens_nothing_but_the_begin(store: Session) -> None:
    attempt = store.begun(store.insert())
    store.checkpoint(attempt)
    before = store.run(attempt.run)
    reader = replace(attempt, token=attempt.claim)
    assert store.begin(reader, process=uuid4())["answer"] == 7
    assert store.checkpoint(reader, "forged", 2) == 3
    assert store.checkpoints((reader, "forged", 2)) == [3]
    assert store.heartbeat(reader) == (3, False, False)
    assert store.finish(reader) == 3
    assert store.release_run(reader) == 3
    declared = "SELECT perdure.declare_cleanup(%s, %s, 60)"
    assert store.execute(declared, reader.run, reader.token) == [(3,)]
    with pytest.raises(psycopg.Error, match="superseded"):
        store.load(reader)
    assert store.run(attempt.run) == before
    assert steps(store) == ["charge"]


def test_what_a_thief_of_the_begin_has_stored_goes_with_his_attempt(store: Session) -> None:
    run = store.insert(backoff_limit=0)
    store.checkpoint(first := store.begun(run), "charge", 1)
    assert store.release_run(first, "released") == 0
    thief = store.begun(run)
    store.checkpoint(thief, "forged", 2)
    delays = []
    for _ in range(2):
        assert store.end_attempt(thief, "begun elsewhere") == 0
        assert store.end_attempt(thief, "begun elsewhere") == 1
        assert store.checkpoint(thief, "late", 3) == 3
        assert store.finish(thief) == 3
        row = store.run(run)
        assert (row["state"], row["crashes"], row["token"], row["login"]) == ("pending", 0, None, None)
        delays.append(row["delay"])
        thief = store.begun(run)
    assert delays == [1, 2]
    assert steps(store) == ["charge"]


def test_one_of_two_processes_that_begin_at_the_same_instant_wins(
    store: Session, other: Session, aside: ThreadPoolExecutor
) -> None:
    for _ in range(20):
        attempt = store.claim(store.insert())
        assert attempt is not None
        gate = threading.Barrier(2)

        def begin(session: Session, attempt=attempt, gate=gate) -> int:
            gate.wait(10)
            return session.begin(attempt, process=uuid4())["answer"]

        assert sorted(aside.map(begin, [store, other])) == [0, 7]


def test_begin_refuses_a_client_older_than_the_schema_serves(store: Session) -> None:
    attempt = store.claim(store.insert())
    assert attempt is not None
    store.execute("UPDATE perdure.meta SET oldest_client = 5, schema_version = 9")
    row = store.begin(attempt, client=4)
    assert (row["answer"], row["schema_version"], row["input"]) == (8, 9, None)
    assert store.run(attempt.run)["begun"] is False
    assert store.begin(attempt, client=5)["answer"] == 0


def test_the_deadline_counts_from_the_first_begin(store: Session) -> None:
    attempt = store.begun(store.insert(deadline_seconds=60.0))
    store.execute("UPDATE perdure.runs SET deadline_from = deadline_from - interval '70 s'")
    store.release_run(attempt, "released")
    again = store.claim(attempt.run)
    assert again is not None
    assert -11 < store.begin(again)["deadline_in"] <= -10


def test_load_gives_what_the_owner_has_in_the_order_of_acceptance(store: Session) -> None:
    run = store.insert()
    first = store.begun(run)
    store.checkpoint(first, "b", 1, "x")
    store.checkpoint(first, "a", 2, None, {"type": "builtins:ValueError"})
    bystander = store.begun(store.insert())
    store.checkpoint(bystander, "c", 1)
    second = store.begun(run)
    rows = store.load(second)
    assert [(row[0], row[1], row[2], row[3], row[6], row[7]) for row in rows] == [
        (run, "b", 1, 1, "x", None),
        (run, "a", 2, 1, None, {"type": "builtins:ValueError"}),
    ]
    assert len(store.load(second, bystander)) == 3
    assert store.load() == []


def test_load_never_tells_a_superseded_attempt_that_nothing_was_done(store: Session) -> None:
    run = store.insert()
    old = store.begun(run)
    store.checkpoint(old)
    ours = store.begun(store.insert())
    store.begun(run)
    with pytest.raises(psycopg.Error) as caught:
        store.load(ours, old)
    assert caught.value.sqlstate == "PD003"
    assert caught.value.diag.message_detail == str(run)


def test_heartbeat_raises_the_counter_and_carries_requests(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert store.heartbeat(attempt, 3, "deposit") == (0, False, False)
    assert store.cancel(attempt.run) == "running"
    assert store.heartbeat(attempt, 4, "x" * 600) == (0, True, False)
    assert store.execute("SELECT id, counter, steps_done, length(current_step) FROM perdure.processes") == [
        (attempt.process, 2, 4, 512)
    ]


def test_a_token_raises_no_counter_but_its_own(store: Session) -> None:
    victim = store.begun(store.insert())
    attacker = store.claim(store.insert())
    assert attacker is not None
    assert store.begin(attacker, process=victim.process)["answer"] == 0
    store.heartbeat(attacker, 99)
    assert store.finish(attacker) == 0
    assert store.execute("SELECT id, counter, steps_done FROM perdure.processes") == [(victim.process, 0, 0)]


# --- finish, release


@pytest.mark.parametrize("state", ["succeeded", "failed", "cancelled"])
def test_finish_ends_the_run_once(store: Session, state: str) -> None:
    attempt = store.begun(store.insert())
    assert [store.finish(attempt, state, 42), store.finish(attempt, state, 43)] == [0, 1]
    row = store.run(attempt.run)
    assert (row["state"], row["result"], row["claim"], row["begun"]) == (state, 42, None, False)
    assert row["finished"] is not None
    assert store.execute("SELECT ending FROM perdure.attempts WHERE ended IS NOT NULL") == [("completed",)]
    assert store.execute("SELECT id FROM perdure.processes") == []


def test_finish_needs_a_begun_attempt_and_an_ending(store: Session) -> None:
    attempt = store.claim(store.insert())
    assert attempt is not None
    assert store.finish(attempt) == 3
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        store.finish(attempt, "pending")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        store.release_run(attempt, "node lost")
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        store.end_attempt(attempt, "bored")


def test_release_is_done_once_and_only_by_its_token(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert [store.release_run(attempt), store.release_run(attempt)] == [0, 1]
    assert store.release_run(attempt, "released") == 3, "another's judgement is not our own earlier try"
    again = store.begun(attempt.run)
    assert store.release_run(attempt) == 1
    assert store.finish(attempt) == 3
    assert store.run(attempt.run)["token"] == again.token
    assert store.run(attempt.run)["crashes"] == 1


def crash(store: Session, run, ending: str = "crashed", *, progress: bool = False) -> tuple[str, int, float]:
    attempt = store.begun(run)
    if progress:
        key = f"step-{store.run(run)['attempt']}"
        assert store.checkpoint(attempt, key, store.run(run)["attempt"]) == 0
    assert store.end_attempt(attempt, ending, "killed by signal 9") == 0
    row = store.run(run)
    return row["state"], row["crashes"], row["delay"]


def test_crashes_in_a_row_wait_longer_and_longer_until_the_limit(store: Session) -> None:
    run = store.insert(backoff_limit=11)
    delays = [crash(store, run)[2] for _ in range(11)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
    assert crash(store, run)[0] == "failed"
    row = store.run(run)
    assert row["error"]["type"] == "perdure.errors:BackoffLimitExceeded"
    assert "12 attempts in a row" in row["error"]["message"]
    assert "backoff limit 11" in row["error"]["message"]
    assert "killed by signal 9" in row["error"]["message"]
    assert row["finished"] is not None


def test_a_new_checkpoint_counts_crashes_anew(store: Session) -> None:
    run = store.insert(backoff_limit=2)
    assert [crash(store, run)[1:], crash(store, run)[1:]] == [(1, 0), (2, 1)]
    assert crash(store, run, progress=True) == ("pending", 1, 0)
    assert [crash(store, run), crash(store, run)] == [("pending", 2, 1), ("failed", 3, 2)]


@pytest.mark.parametrize("ending", ["released", "evicted", "node lost"])
def test_a_checkpoint_of_an_interrupted_attempt_counts_crashes_anew_too(store: Session, ending: str) -> None:
    run = store.insert()
    assert [crash(store, run)[1], crash(store, run)[1]] == [1, 2]
    assert crash(store, run, ending, progress=True) == ("pending", 2, 0)
    assert crash(store, run) == ("pending", 1, 0)


@pytest.mark.parametrize("ending", ["released", "evicted", "node lost"])
def test_disruptions_are_no_crashes(store: Session, ending: str) -> None:
    run = store.insert(backoff_limit=0)
    assert [crash(store, run, ending) for _ in range(3)] == [("pending", 0, 0)] * 3
    assert crash(store, run, "lost") == ("failed", 1, 0)


def test_a_delay_puts_off_when_the_run_is_available(store: Session) -> None:
    run = store.insert()
    crash(store, run)
    assert store.execute("SELECT available <= clock_timestamp() FROM perdure.runs") == [(True,)]
    crash(store, run)
    assert store.execute("SELECT available > clock_timestamp() + interval '0.5 s' FROM perdure.runs") == [(True,)]


# --- cancel


def test_cancelling_a_run_that_nobody_holds_ends_it(store: Session) -> None:
    run = store.insert()
    assert store.cancel(run) == "cancelled"
    assert store.run(run)["finished"] is not None
    assert store.cancel(run) is None
    assert store.claim(run) is None


def test_cancelling_a_held_run_asks_its_process_which_ends_it(store: Session) -> None:
    attempt = store.begun(store.insert())
    assert store.cancel(attempt.run) == "running"
    assert store.run(attempt.run)["finished"] is None
    assert store.claim(attempt.run) is None
    assert store.begin(attempt)["cancel"] is True
    assert store.checkpoint(attempt) == 0, "what was done is still kept"
    assert store.finish(attempt, "cancelled") == 0
    assert store.run(attempt.run)["state"] == "cancelled"


def test_a_crash_of_a_run_that_was_to_be_cancelled_cancels_it(store: Session) -> None:
    attempt = store.begun(store.insert())
    store.cancel(attempt.run)
    assert store.release_run(attempt) == 0
    row = store.run(attempt.run)
    assert (row["state"], row["claim"]) == ("cancelled", None)
    assert row["finished"] is not None


# --- claim


def test_a_claim_compares_the_attempt_that_was_observed(store: Session) -> None:
    run = store.insert()
    assert store.claim(run, observed=1) is None
    first = store.claim(run, observed=0)
    assert first is not None
    assert store.named("claimed_attempt", run=run, token=first.claim) == [(1,)]
    assert store.claim(run, observed=0) is None
    assert store.claim(run, observed=1) is not None
    assert store.named("claimed_attempt", run=run, token=first.claim) == []


def test_a_claim_ends_the_attempt_before_it_and_its_processs_row(store: Session) -> None:
    old = store.begun(store.insert())
    store.claim(old.run)
    assert store.execute("SELECT attempt, ending FROM perdure.attempts ORDER BY attempt") == [
        (1, "superseded"),
        (2, None),
    ]
    assert store.execute("SELECT id FROM perdure.processes") == []


def test_one_of_two_claims_at_the_same_instant_wins(store: Session, other: Session, aside: ThreadPoolExecutor) -> None:
    for _ in range(20):
        run = store.insert()
        gate = threading.Barrier(2)

        def claim(session: Session, run=run, gate=gate) -> bool:
            gate.wait(10)
            return session.claim(run, observed=0) is not None

        assert sorted(aside.map(claim, [store, other])) == [False, True]
        assert store.run(run)["attempt"] == 1


def test_a_claim_waits_for_a_checkpoint_in_flight_and_then_refuses_the_next(
    store: Session, other: Session, aside: ThreadPoolExecutor, database: Database
) -> None:
    attempt = store.begun(store.insert())
    claimed: Future
    with store.connection.transaction():
        assert store.checkpoint(attempt) == 0
        claimed = aside.submit(other.claim, attempt.run, 1)
        with closing(database.connect()) as watcher:
            waits_for_lock(Session(watcher), other)
        assert not claimed.done()
    new = claimed.result(10)
    assert new is not None
    assert steps(store) == ["charge"], "what was accepted before the claim stays"
    assert store.checkpoint(attempt, "next", 2) == 3
    assert other.begin(new)["answer"] == 0
    assert len(other.load(new)) == 1


def test_a_checkpoint_waits_for_a_claim_in_flight_and_is_refused(
    store: Session, other: Session, aside: ThreadPoolExecutor, database: Database
) -> None:
    attempt = store.begun(store.insert())
    with other.connection.transaction():
        assert other.claim(attempt.run, 1) is not None
        answer = aside.submit(store.checkpoint, attempt)
        with closing(database.connect()) as watcher:
            waits_for_lock(Session(watcher), store)
    assert answer.result(10) == 3
    assert steps(store) == []


def test_a_checkpoint_that_waited_for_a_claim_which_was_rolled_back_is_stored(
    store: Session, other: Session, aside: ThreadPoolExecutor, database: Database
) -> None:
    attempt = store.begun(store.insert())
    with other.connection.transaction(force_rollback=True):
        assert other.claim(attempt.run, 1) is not None
        answer = aside.submit(store.checkpoint, attempt)
        with closing(database.connect()) as watcher:
            waits_for_lock(Session(watcher), store)
    assert answer.result(10) == 0


def test_checkpoints_of_one_run_do_not_wait_for_each_other(store: Session, other: Session) -> None:
    attempt = store.begun(store.insert())
    with store.connection.transaction():
        assert store.checkpoint(attempt, "a", 1) == 0
        other.execute("SET lock_timeout = '5s'")
        assert other.checkpoint(attempt, "b", 2) == 0
        assert other.checkpoints((attempt, "c", 3)) == [0]


# --- notifications


def test_work_and_endings_are_notified_with_the_runs_id(store: Session, other: Session) -> None:
    for kind in ("work", "done"):
        [(channel,)] = other.execute("SELECT perdure.channel(%s, %s)", kind, OWNER)
        other.execute(f"LISTEN {channel}")
    run = store.insert()
    attempt = store.begun(run)
    store.checkpoint(attempt)
    store.release_run(attempt, "released")
    store.finish(store.begun(run))
    heard = [(note.channel.split("_")[1], note.payload) for note in other.connection.notifies(timeout=5, stop_after=3)]
    assert heard == [("work", str(run)), ("work", str(run)), ("done", str(run))]
    assert list(other.connection.notifies(timeout=0.2)) == [], "steps are not notified"


@pytest.mark.parametrize("error", ['{"type": "x\\u0000"}', '{"message": "\\ud800"}'])
def test_an_error_that_no_list_of_runs_could_show_is_refused(store: Session, error: str) -> None:
    """The type json takes escapes that are no text: one such run would make every listing of runs fail."""
    attempt = store.begun(store.insert())
    with pytest.raises(psycopg.DataError):
        store.execute(
            "SELECT perdure.finish(%s, %s, 'failed', NULL, %s::text::json)", attempt.run, attempt.token, error
        )
    assert store.finish(attempt) == 0
