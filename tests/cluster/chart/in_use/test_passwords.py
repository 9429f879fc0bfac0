"""Other passwords for the chart's own Postgres, as its README says: runs that were under way go on with them."""

from __future__ import annotations

import pytest

from tests.cluster.cluster import Capability

from .procedure import Procedure
from .used import Used

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]


def test_without_its_secrets_it_makes_new_ones_that_work(used: Used, tmp_path_factory: pytest.TempPathFactory) -> None:
    stage, release = used.stage, used.release
    before = release.passwords()
    uid = used.start("kept")
    used.until_steps(uid, 1)

    Procedure("charts/perdure/README.md", release, tmp_path_factory.mktemp("passwords")).follow("Other passwords")
    after = release.passwords()
    assert after.keys() == before.keys()
    assert [name for name, password in after.items() if password == before[name]] == []
    used.store.log_in(after["perdure-database"])

    stage.start("changed")
    assert stage.until_finished("changed")["result"] == "hello you"
    stage.until_pod("kept", 2)
    used.let("kept", "go", "on")
    assert stage.until_finished("kept")["result"] == [1, 2, 2, 2]
