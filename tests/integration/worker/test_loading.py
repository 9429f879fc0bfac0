"""The checkpoints of claimed runs are loaded in portions, and a run that another process has got is left out."""

from __future__ import annotations

from uuid import uuid4

from perdure.client import Client
from perdure.errors import StoreChanged
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.workers.claims import Claims, Entrypoints, FreeSlots
from perdure.worker.loading import load_checkpoints
from tests.harness.databases import Database
from tests.harness.proxy import Proxy


def claims(database: Database) -> Claims:
    process = ProcessIdentity(uuid4(), "somewhere", 1, 0)
    return Claims(database.url, "queue:default", process, Entrypoints(["flows:async_count"], []))


def start(database: Database, runs: int) -> None:
    with Client(database.url) as client:
        for n in range(runs):
            client.start("flows:async_count", id=f"run-{n}", input={"steps": 1})


def release(database: Database, name: str = "%") -> None:
    database.query(
        "SELECT perdure.end_attempt(id, claim, 'released', NULL, NULL, NULL) FROM perdure.runs"
        " WHERE claim IS NOT NULL AND name LIKE %s",
        name,
    )


def test_bytes_of_checkpoints_bound_a_load(database: Database, proxy: Proxy) -> None:
    start(database, 20)
    claiming, places = claims(database), FreeSlots(async_runs=100)
    claiming.claim(places, [])
    database.query(
        """INSERT INTO perdure.steps (run_id, step_key, ordinal, name, attempt, tries, clock, result, started, finished)
           SELECT id, 'large', 1, 'large', 1, 1, 1, to_json(repeat('x', 900000)), now(), now() FROM perdure.runs"""
    )
    release(database)
    runs = claiming.claim(places, []).runs
    assert [run.recorded_bytes for run in runs] == [900_002] * 20
    loaded = load_checkpoints(proxy.url(database.name), claiming.system, runs)
    assert {run: len(found) for run, found in loaded.recorded.items()} == {run.run_id: 1 for run in runs}
    count, _, _ = proxy.sizes("perdure.load(")
    assert count == 5
    claiming.close()


def test_a_run_that_another_attempt_has_is_named_and_holds_up_no_other(database: Database) -> None:
    start(database, 3)
    claiming = claims(database)
    runs = claiming.claim(FreeSlots(async_runs=3), []).runs
    release(database, "run-1")
    loaded = load_checkpoints(database.url, claiming.system, runs)
    assert loaded.superseded == [run.run_id for run in runs if run.id == "run-1"]
    assert loaded.recorded == {run.run_id: [] for run in runs if run.id != "run-1"}
    assert loaded.error is None
    claiming.close()


def test_another_database_system_is_an_error_for_all(database: Database) -> None:
    start(database, 2)
    claiming = claims(database)
    loaded = load_checkpoints(database.url, "another/1", claiming.claim(FreeSlots(async_runs=2), []).runs)
    assert isinstance(loaded.error, StoreChanged)
    assert (loaded.recorded, loaded.superseded) == ({}, [])
    claiming.close()
