"""Which store an application gets: the named one, the environment's, or on request the embedded one."""

from __future__ import annotations

from pathlib import Path

import pytest

from perdure.errors import UsageError
from perdure.store.embedded.data_folder import Folder
from perdure.store.target import store_of


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)
    monkeypatch.setenv("PERDURE_DATA_DIR", str(tmp_path))


@pytest.mark.parametrize("local", [True, False])
def test_a_named_store_comes_first(monkeypatch: pytest.MonkeyPatch, local: bool) -> None:
    monkeypatch.setenv("PERDURE_DATABASE_URL", "postgresql://environment")
    assert store_of("postgresql://named", local=local) == ("postgresql://named", None)
    assert store_of(None, local=local) == ("postgresql://environment", None)


def test_the_embedded_one_is_had_on_request_and_not_started_yet(tmp_path: Path) -> None:
    url, store = store_of(None, local=True)
    assert store is not None
    assert url == store.url == Folder(str(tmp_path.resolve())).url
    assert list(tmp_path.iterdir()) == []


def test_without_any_the_error_says_what_to_set() -> None:
    with pytest.raises(UsageError, match="PERDURE_DATABASE_URL"):
        store_of(None, local=False)
