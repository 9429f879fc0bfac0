"""Looking at a run with many steps counts them now and then, and always where nobody holds it."""

from __future__ import annotations

from typing import Any

from .stores import asynchronous, begin, claimed, inserted, opened, run_of

STEPS = 20_000
MORE = """
INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, started, finished)
SELECT %s, 'step#' || g, g, 'step', 1, 1, 0, '1', now(), now() FROM generate_series(%s::int, %s::int) g
"""


@asynchronous
async def test_the_steps_of_a_held_run_are_counted_now_and_then_and_of_another_always(database: Any, pod: Any) -> None:
    now = [1000.0]
    async with opened(database.url, clock=lambda: now[0]) as store:
        uid, other = await inserted(store), await inserted(store, "other")
        attempt = begin(pod, uid, await claimed(store, uid))
        database.query(MORE, uid, 1, STEPS)
        assert (await run_of(store, uid)).steps == STEPS
        database.query(MORE, uid, STEPS + 1, STEPS + 1)
        database.query(MORE, other, 1, 1)
        assert (await run_of(store, uid)).steps == STEPS, "counted a moment ago"
        assert (await run_of(store, other)).steps == 1
        now[0] += 1
        assert (await run_of(store, uid)).steps == STEPS + 1
        database.query("DELETE FROM perdure.steps WHERE run_id = %s AND ordinal > 5", uid)
        assert (await run_of(store, uid)).steps == STEPS + 1
        pod.end_attempt(attempt, "evicted")
        assert (await run_of(store, uid)).steps == 5, "whether the store has lost some is asked of the store"
