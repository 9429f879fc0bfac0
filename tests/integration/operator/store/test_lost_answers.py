"""Connections that break at any moment of a call: the call, or its repetition, leaves the run as if none had broken."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreUnavailable
from perdure.names import Claim
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import Limits
from perdure_operator.store.store import OperatorStore
from tests.harness.databases import Database, Databases
from tests.harness.proxy import Moment, Proxy
from tests.integration.store.rows import Session

from .stores import asynchronous, begin, claimed, inserted, opened, run_of, workflow

LIMITS = Limits(2, 30.0, suspend=True, cancel=False)

CALLS: dict[str, tuple[str, Callable[[OperatorStore, UUID, Claim], Awaitable[object]]]] = {
    "insert": ("INSERT INTO perdure.runs", lambda store, uid, _: store.insert(workflow(uid=uid))),
    "observe": ("octet_length", lambda store, uid, _: store.observe(uid)),
    "release_run": (
        "perdure.end_attempt",
        lambda store, uid, claim: store.release_run(uid, claim, AttemptEnd.CRASHED, detail=""),
    ),
    "set_limits": ("SET backoff_limit", lambda store, uid, _: store.set_limits(uid, LIMITS)),
    "request_cancel": ("SET cancel", lambda store, uid, _: store.request_cancel(uid)),
    "end_run": ("SET state = 'failed'", lambda store, uid, _: store.end_run(uid, "a:B", "c")),
    "active_runs": ("AS held, r.cancel", lambda store, *_: store.active_runs()),
    "mark_gone": ("SET gone", lambda store, uid, _: store.mark_gone([uid])),
}


async def result_of(
    database: Database,
    pod: Session,
    url: str,
    call: Callable[[OperatorStore, UUID, Claim], Awaitable[object]],
    cut: Any,
) -> dict[str, Any]:
    """The row of a run that is held, after a call over `url`."""
    async with opened(database.url) as calm, opened(url) as store:
        uid = await inserted(calm)
        claim = await claimed(calm, uid)
        begin(pod, uid, claim)
        await store.observe(uid)  # a connection that is in use
        cut()
        await call(store, uid, claim)
    row = pod.run(uid)
    for changing in (
        "id",
        "process",
        "claim",
        "token",
        "available",
        "created",
        "started",
        "deadline_from",
        "clock_at",
        "finished",
        "gone",
        "seed",
    ):
        row[changing] = row[changing] is None
    return row


@asynchronous
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("moment", Moment)
async def test_a_call_whose_connection_is_cut_once_is_done_all_the_same(
    database: Database, pod: Session, proxy: Proxy, call: str, moment: Moment
) -> None:
    sql, made = CALLS[call]
    expected = await result_of(database, pod, database.url, made, lambda: None)
    url = proxy.url(database.name)
    assert await result_of(database, pod, url, made, lambda: proxy.cut_at(moment, sql=sql)) == expected
    assert proxy.cuts == {moment: 1}


@asynchronous
@pytest.mark.parametrize("moment", Moment)
@pytest.mark.parametrize("times", [1, 2])
async def test_a_claim_whose_answer_is_lost_is_found_out(
    database: Database, proxy: Proxy, moment: Moment, times: int
) -> None:
    async with opened(database.url) as calm, opened(proxy.url(database.name)) as store:
        uid = await inserted(calm)
        await store.observe(uid)
        proxy.cut_at(moment, sql="SET attempt = ", times=times)
        claim = None
        try:
            claim = await store.claim(uid, 0)
        except StoreUnavailable:
            assert times == 2, "a connection that was in use and broke is replaced by itself"
        run = await run_of(calm, uid)
        assert run.attempt <= 1
        assert claim is not None or times == 2
        if claim is not None:
            assert (run.attempt, run.claim) == (1, claim)
        assert len(await calm.attempts(uid)) == run.attempt


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32), rate=st.floats(0.05, 0.5))
def test_a_story_under_random_cuts_ends_as_it_should(databases: Databases, seed: int, rate: float) -> None:
    database = databases.new()
    try:
        with Proxy(databases.server) as proxy, database.connect() as connection:
            story(database, proxy, Session(connection), rate, seed)
    finally:
        databases.drop(database)


@asynchronous
async def story(database: Database, proxy: Proxy, pod: Session, rate: float, seed: int) -> None:
    """Insert, crash, disruption, cancel: each call is made until it is answered, as the operator's queue does."""

    async def insist(call: Callable[[], Awaitable[Any]]) -> Any:
        for _ in range(1000):
            try:
                return await call()
            except StoreUnavailable:
                continue
        raise AssertionError("never answered")

    async def claim() -> Claim:
        while True:
            run = (await insist(lambda: store.observe(uid))).run
            # What was claimed by a call whose answer was lost is as good.
            if run.claim is not None:
                return run.claim
            await insist(partial(store.claim, uid, run.attempt))

    async with opened(proxy.url(database.name)) as store:
        made = workflow()
        uid = made.uid
        proxy.cut_randomly(rate, seed=seed)
        await insist(lambda: store.insert(made))
        for number, ending in enumerate((AttemptEnd.CRASHED, AttemptEnd.EVICTED, AttemptEnd.LOST), 1):
            token = await claim()
            begin(pod, uid, token)
            await insist(partial(store.release_run, uid, token, ending, detail=ending))
            assert [a.ending for a in await insist(lambda: store.attempts(uid))][-1] == ending
            assert len(await insist(lambda: store.attempts(uid))) == number
        token = await claim()
        await insist(lambda: store.request_cancel(uid))
        await insist(lambda: store.release_run(uid, token, AttemptEnd.NEVER_BEGUN, detail=""))
        run = (await insist(lambda: store.observe(uid))).run
        assert (run.state, run.attempt, run.crashes, run.disruptions) == (RunState.CANCELLED, 4, 3, 1)
