"""`perdure postgres restore`: what it says of what was restored, and of what was not."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.cli.commands import network_server
from perdure.cli.commands.network_server import restore, serve
from perdure.errors import StoreError
from perdure.store.embedded import network_restore
from perdure.store.embedded.network_restore import Restored


class Server:
    """A server that takes its settings from nowhere."""

    @classmethod
    def parse(cls, _: object) -> Server:
        return cls()

    def run(self) -> int:
        return 75


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the restore has done."""
    monkeypatch.setattr(network_server, "NetworkServer", Server)
    found: dict[str, Any] = {"of_logins": (), "failed": {}, "left_out": ()}
    monkeypatch.setattr(network_restore, "restore", lambda *_: Restored(**found))
    return found


@pytest.mark.usefixtures("done")
def test_serving_ends_with_the_servers_exit_code() -> None:
    assert serve() == 75


def test_all_that_was_restored_is_named(done: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done["of_logins"] = ("shop_pods",)
    assert restore() == 0
    assert capsys.readouterr().out == "restored: perdure, shop_pods\n"


def test_what_is_missing_is_an_error_that_says_why(done: Any, capsys: pytest.CaptureFixture[str]) -> None:
    done |= {"failed": {"shop_pods": "no such type"}, "left_out": ("a_pods", "b_pods")}
    with pytest.raises(StoreError) as raised:
        restore()
    assert "the schema shop_pods of the login of that name is empty: no such type" in str(raised.value)
    assert "no login of pods has the name of a_pods, b_pods" in str(raised.value)
    assert capsys.readouterr().out == "restored: perdure\n"
