"""Which store a command takes: the named one, the environment's, or the embedded one while it lasts."""

from __future__ import annotations

import pytest

from perdure.errors import StoreUnavailable
from perdure.local.store_target import open_target
from perdure.store.embedded import local_store


class Embedded:
    """An embedded database that only takes notes."""

    url = "postgresql:///embedded"
    notes: list[object]

    def __init__(self) -> None:
        type(self).notes = []

    def ensure(self, *, migrated: bool = True) -> None:
        self.notes.append(migrated)

    def close(self) -> None:
        self.notes.append("closed")


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    Embedded.notes = []
    monkeypatch.setattr(local_store, "LocalStore", Embedded)
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)


def test_the_named_one_comes_before_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", "postgresql://environment")
    with open_target("postgresql://named") as named, open_target(None) as other:
        assert (named.url, other.url) == ("postgresql://named", "postgresql://environment")
        assert not named.embedded
        named.ensure()
    assert Embedded.notes == []


@pytest.mark.parametrize("migrated", [True, False])
def test_else_the_embedded_one_is_started_and_given_back(migrated: bool) -> None:
    with open_target(None, migrated=migrated) as target:
        assert (target.url, target.embedded) == (Embedded.url, True)
        assert Embedded.notes == [migrated]
        target.ensure()
    assert Embedded.notes == [migrated, True, "closed"]


def test_one_that_does_not_start_is_given_back_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def ensure(_: Embedded, *, migrated: bool = True) -> None:
        raise StoreUnavailable("no room")

    monkeypatch.setattr(Embedded, "ensure", ensure)
    with pytest.raises(StoreUnavailable, match="no room"), open_target(None):
        pass
    assert Embedded.notes == ["closed"]
