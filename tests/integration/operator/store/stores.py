"""An `OperatorStore`, and what its tests need beside it: Workflows, and what pods do."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim
from perdure_operator.decide.observed import Key, Limits, Run, Spec, Workflow
from perdure_operator.store.store import OperatorStore
from tests.integration.store.rows import Attempt, Session

__all__ = [
    "OWNER",
    "asynchronous",
    "begin",
    "claimed",
    "every_call",
    "inserted",
    "opened",
    "pods_attempt",
    "run_of",
    "workflow",
]

OWNER = "cluster:6c2f7a4e"


def asynchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """A test that runs in a loop of its own."""

    @functools.wraps(test)
    def run(*arguments: object, **named: object) -> None:
        asyncio.run(test(*arguments, **named))

    return run


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[OperatorStore]:
    """A store that is closed in the end."""
    store = OperatorStore(url, OWNER, **options)
    try:
        yield store
    finally:
        await store.close()


def workflow(name: str = "transfer-17", *, uid: UUID | None = None, namespace: str = "shop", **spec: Any) -> Workflow:
    """A Workflow; what is not given of its spec is the default."""
    given = {"entrypoint": "bank:transfer", "input": '{"amount": 100}', **spec}
    return Workflow(Key(namespace, name), uid or uuid4(), 1, datetime.now(UTC), Spec(**given))


async def inserted(store: OperatorStore, name: str = "transfer-17", **given: Any) -> UUID:
    """The UID of a new run."""
    made = workflow(name, **given)
    assert await store.insert(made)
    return made.uid


async def run_of(store: OperatorStore, uid: UUID) -> Run:
    """A run that is there."""
    seen = await store.observe(uid)
    assert seen.run is not None
    return seen.run


async def claimed(store: OperatorStore, uid: UUID) -> Claim:
    """Claim for the next attempt."""
    claim = await store.claim(uid, (await run_of(store, uid)).attempt)
    assert claim is not None
    return claim


def pods_attempt(uid: UUID, claim: Claim) -> Attempt:
    """What a pod is given."""
    return Attempt(uid, claim)


def begin(pod: Session, uid: UUID, claim: Claim) -> Attempt:
    """Begin an attempt as its pod does."""
    attempt = pods_attempt(uid, claim)
    assert pod.begin(attempt)["answer"] == 0
    return attempt


async def every_call(url: str, pod: Session) -> None:
    """Make each call once, to some effect."""
    async with opened(url) as store:
        await store.identity()
        uid, other = await inserted(store), await inserted(store, "other")
        claim = await claimed(store, uid)
        assert await store.release_run(uid, claim, AttemptEnd.EVICTED, detail="")
        begin(pod, uid, again := await claimed(store, uid))
        assert await store.note_image(uid, again, "sha256:1")
        assert await store.set_limits(uid, Limits(1, None, suspend=False, cancel=False))
        await store.request_cancel(uid)
        await store.cancel_gone(uid)
        assert await store.end_run(uid, "a:B", "c")
        assert (await store.observe(uid)).run
        await store.request_cancel(other)
        assert len(await store.ended_runs()) == 2
        assert await store.active_runs()
        assert await store.count()
        assert len(await store.attempts(uid)) == 2
        assert await store.mark_gone([uid]) == 1
        assert await store.mark_back([uid, other]) == 1
        assert await store.mark_gone([uid]) == 1
        await store.delete_gone_steps(timedelta(0), 100)
        assert await store.delete_gone_runs(timedelta(0), 100) == 1
        await store.sweep_processes()
