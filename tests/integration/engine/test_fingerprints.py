"""Fingerprints in the store: processes that are killed, and another that goes on with other sets."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from perdure.attempt_results import Failed, Succeeded
from perdure.errors import MutationError, NondeterminismError
from perdure.serialization.failures.failure import Failure
from tests.harness.databases import Database
from tests.harness.processes import Child, Children

from . import workflows
from .attempts import Run

ROOT = Path(__file__).parents[3]
CHILD = """
    import sys, uuid
    from tests.integration.engine import workflows
    from tests.integration.engine.attempts import Run

    url, run, name = sys.argv[1:]
    ending = Run(url, getattr(workflows, name), run=uuid.UUID(run)).attempt()
    print("ended", type(ending).__name__, getattr(ending, "raised", ""), flush=True)
"""


def start(children: Children, run: Run, workflow: str, *, hash_seed: int, pause: bool = False) -> Child:
    env = {"PYTHONPATH": f"{ROOT}:{ROOT / 'runtime'}", "PYTHONHASHSEED": str(hash_seed)}
    return children.code(CHILD, run.url, str(run.id), workflow, env=env | ({"PAUSE": "1"} if pause else {}))


@pytest.mark.parametrize("workflow", ["price_many", "price_together"])
def test_a_set_in_another_order_ends_the_run_instead_of_mixing_results(
    database: Database, children: Children, workflow: str
) -> None:
    run = Run(database.url, getattr(workflows, workflow), True)
    first = start(children, run, workflow, hash_seed=1, pause=True)
    first.wait_for_output("paused")
    first.kill()
    second = start(children, run, workflow, hash_seed=2)
    second.wait_for_output("ended")
    said = second.output
    assert "ended Failed" in said
    assert "does not repeat its recorded calls" in said
    assert "with other arguments" in said
    assert "item='item " in said, "the actual call is shown"
    assert "priced" not in said, "nothing was run again"


@pytest.mark.parametrize("workflow", ["price_many", "price_together"])
def test_a_set_in_the_same_order_goes_on(database: Database, children: Children, workflow: str) -> None:
    run = Run(database.url, getattr(workflows, workflow), True)
    first = start(children, run, workflow, hash_seed=1, pause=True)
    first.wait_for_output("paused")
    first.kill()
    second = start(children, run, workflow, hash_seed=1)
    second.wait_for_output("ended")
    assert "ended Succeeded" in second.output
    assert second.output.count("priced") == 1


def test_the_store_has_fingerprints_and_no_arguments(database: Database) -> None:
    runs = [Run(database.url, workflows.price_many, False) for _ in range(2)]
    for run in runs:
        assert isinstance(run.attempt(), Succeeded)
    rows = database.query("SELECT run_id, name, fingerprint FROM perdure.steps")
    assert len({fingerprint for *_, fingerprint in rows}) == len(rows) == 42, "another run has another key"
    assert all(isinstance(fingerprint, UUID) for *_, fingerprint in rows)


def test_a_database_step_that_changes_its_arguments_leaves_nothing(database: Database) -> None:
    database.query("CREATE TABLE entries (key text NOT NULL)")
    run = Run(database.url, workflows.mutate_in_transaction)
    ending = run.attempt()
    assert isinstance(ending, Failed)
    assert isinstance(Failure.from_json(ending.error).revive(), MutationError)
    assert database.query("SELECT * FROM entries") == []
    [(fingerprint, error)] = database.query("SELECT fingerprint, error::text FROM perdure.steps")
    assert fingerprint is not None
    assert "MutationError" in error


def test_another_call_in_another_attempt(database: Database) -> None:
    run = Run(database.url, workflows.price_many, True)
    begun = run.begin()
    key = min(workflows.ITEMS)
    assert begun.recorded == []
    database.query(
        "INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, started, finished,"
        f" fingerprint) VALUES ('{run.id}', 'price', 1, 'price', 1, 1, 1, '\"{key}\"', now(), now(), gen_random_uuid())"
    )
    ending = run.attempt()
    assert isinstance(ending, Failed)
    assert isinstance(ending.raised, NondeterminismError)
