"""The embedded database as a store: had once, migrated where need be, watched, and given back."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from perdure.errors import StoreUnavailable
from perdure.store.embedded import local_store
from perdure.store.embedded.data_folder import Folder
from perdure.store.embedded.local_store import LocalStore, local_database
from perdure.store.schema import migrate
from tests.harness.eventually import eventually


class Hold:
    """A share in a server that is not there."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.url = "postgresql:///embedded"
        self.away = False

    def ensure(self) -> None:
        self.log.append("ensure")
        if self.away:
            raise StoreUnavailable("the disk is full")

    def release(self) -> None:
        self.log.append("release")


class World:
    """What a store finds, and what it does."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.hold = Hold(self.log)
        self.current = True
        self.broken = False

    def acquire(self) -> Hold:
        self.log.append("acquire")
        return self.hold

    def migrate(self, _: str) -> None:
        self.log.append("migrate")
        if self.broken:
            raise StoreUnavailable("no")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    made = World()
    monkeypatch.setenv("PERDURE_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(local_store, "acquire", made.acquire)
    monkeypatch.setattr(local_store, "schema_is_current", lambda _: made.current)
    monkeypatch.setattr(migrate, "migrate", made.migrate)
    return made


def test_the_url_is_known_before_the_server_runs(world: World, tmp_path: Path) -> None:
    assert LocalStore().url == Folder(str(tmp_path.resolve())).url
    assert world.log == []


def test_it_is_had_once_and_then_seen_to(world: World) -> None:
    store = LocalStore()
    store.ensure()
    store.ensure()
    store.close()
    store.close()
    assert world.log == ["acquire", "ensure", "release"]


@pytest.mark.parametrize(
    ("current", "migrated", "log"),
    [
        (True, True, ["acquire"]),
        (False, True, ["acquire", "migrate"]),
        (False, False, ["acquire"]),
    ],
)
def test_it_is_migrated_where_that_is_wanted_and_needed(
    world: World, current: bool, migrated: bool, log: list[str]
) -> None:
    world.current = current
    LocalStore().ensure(migrated=migrated)
    assert world.log == log


def test_what_cannot_be_migrated_is_given_back(world: World) -> None:
    world.current, world.broken = False, True
    store = LocalStore()
    with pytest.raises(StoreUnavailable):
        store.ensure()
    store.close()
    assert world.log == ["acquire", "migrate", "release"]


def test_a_forked_child_has_it_anew(world: World) -> None:
    store: Any = LocalStore()
    store.ensure()
    store.renew()
    store.close()  # which gives back nothing of the parent's
    store.ensure()
    assert world.log == ["acquire", "acquire"]


def test_it_is_watched_until_it_is_closed(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local_store, "_LOOK", 0.01)
    caplog.set_level(logging.WARNING, "perdure")
    store = LocalStore()
    store.watch()
    eventually(lambda: world.log.count("ensure") >= 2)
    world.hold.away = True
    eventually(lambda: "the disk is full" in caplog.text)
    world.hold.away = False
    seen = world.log.count("ensure")
    eventually(lambda: world.log.count("ensure") > seen + 1)
    store.close()
    assert world.log.count("release") == 1


def test_a_context_has_it_for_as_long_as_it_lasts(world: World) -> None:
    with local_database() as url:
        assert url == LocalStore().url
        assert world.log == ["acquire"]
    assert world.log == ["acquire", "release"]
