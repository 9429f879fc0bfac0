"""Runs of manifests: one of each name and namespace, whoever inserts it, and however many do so at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from perdure.store.runs.manifests import ManifestRunStore
from perdure.store.runs.model import MANIFEST_OWNER
from perdure.store.runs.runs import NewRun
from tests.harness.databases import Database


@pytest.fixture
def store(database: Database) -> Iterator[ManifestRunStore]:
    with ManifestRunStore(database.url) as made:
        yield made


def new(name: str = "transfer", namespace: str = "default", input: str = "{}") -> NewRun:
    return NewRun(uuid4(), MANIFEST_OWNER, name, "bank:transfer", input, namespace=namespace, source='{"bank.py": ""}')


def test_a_name_has_the_run_that_was_inserted_first(store: ManifestRunStore) -> None:
    assert store.find_manifest("default", "transfer") is None
    first = new(input='{"n":1}')
    stored = store.insert_manifest(first)
    assert (stored.run_id, stored.entrypoint, stored.input) == (first.run_id, "bank:transfer", '{"n":1}')
    assert stored.source == '{"bank.py": ""}'
    assert stored.started is None
    assert store.insert_manifest(new()) == stored
    assert store.find_manifest("default", "transfer") == stored


def test_each_namespace_has_its_own(store: ManifestRunStore) -> None:
    here, there = new(), new(namespace="other")
    assert store.insert_manifest(here).run_id == here.run_id
    assert store.insert_manifest(there).run_id == there.run_id


def test_many_at_once_get_one_run(database: Database) -> None:
    def insert(_: int) -> object:
        with ManifestRunStore(database.url) as store:
            return store.insert_manifest(new()).run_id

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(insert, range(16)))) == 1
    assert database.query("SELECT count(*) FROM perdure.runs") == [(1,)]
