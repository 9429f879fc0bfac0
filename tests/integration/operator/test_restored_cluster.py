"""A cluster that was restored from a backup has Workflows again that were deleted since: none of them runs again."""

from __future__ import annotations

import pytest

from tests.harness.eventually import eventually

from .operators import Operator
from .scene import Scene
from .test_a_run import times
from .test_deleted import rows
from .test_trust import begin

pytestmark = pytest.mark.timeout(120)  # the API server starts three times

GONE = "SELECT state, gone IS NOT NULL FROM perdure.runs WHERE id = %s"


@pytest.fixture
def scene(own_api_server, database, children):
    own_api_server.api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    return Scene(own_api_server.api, "shop", children, database)


def test_their_runs_stay_as_they_are_and_the_statuses_say_how(own_api_server, scene, children, tmp_path):
    def start(**options: str) -> Operator:
        return Operator(children, own_api_server.kubeconfig, scene.database.url, "shop", options)

    tmp_path.chmod(0o777)
    operator = start()
    ended = scene.apply("ended")
    assert scene.play_to_the_end(scene.until_pod(of="ended")) == 0
    scene.until_phase("Succeeded", "ended")
    going, _, process = begin(scene, tmp_path, "going")
    operator.stop()
    backup = own_api_server.back_up()

    operator = start()
    operator.until_leading()
    for name in ("ended", "going"):
        scene.delete(name)
    eventually(lambda: scene.database.query("SELECT cancel FROM perdure.runs WHERE id = %s", going) == [(True,)])
    process.kill_group()
    operator.stop()
    scene.database.query("UPDATE perdure.runs SET gone = clock_timestamp() - interval '1 hour'")
    operator = start()
    eventually(lambda: scene.database.query(GONE, going) == [("cancelled", True)], deadline=20)
    operator.stop()

    own_api_server.restore(backup)
    assert scene.phase("going") == "Running"
    operator = start(retention_days="0", resync_seconds="1")
    assert scene.until_phase("Cancelled", "going")["attempts"] == 1
    operator.until_compared(2)
    # What is stored of them goes with them, and not before.
    assert scene.database.query(GONE, ended) == [("succeeded", False)]
    assert scene.database.query(GONE, going) == [("cancelled", False)]
    assert rows(scene, ended) == (1, 1, 1)
    assert rows(scene, going)[:2] == (1, 1)
    assert scene.phase("ended") == "Succeeded"
    assert (times(tmp_path, "first"), times(tmp_path, "second")) == (1, 1)
    assert len(scene.pods()) <= 2
    operator.stop()
    operator.check()
