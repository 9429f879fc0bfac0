"""Upgraded to a release with a newer schema runs go on, and rolled back the older release works under that schema."""

from __future__ import annotations

import pytest

from perdure.store.schema.versions import SCHEMA_VERSION
from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.product.pod_faults import kill_user_process
from tests.harness.eventually import eventually

from .lookout import Lookout
from .used import Used

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

LONGEST_PAUSE = 20.0
"""Seconds for which nobody may be there to look at a Workflow: a Lease that nobody has released lasts for 15."""


def image_of(pod: Json) -> str:
    return str(pod["spec"]["containers"][0]["image"])


def schema(used: Used) -> int:
    return int(used.store.rows("SELECT schema_version FROM perdure.meta")[0]["schema_version"])


def test_runs_go_on_while_it_is_upgraded_to_a_newer_schema(used: Used, later: str) -> None:
    stage, release = used.stage, used.release
    new = release.image(later)
    old_pods, new_pods = release.runtime_image(), release.runtime_image(later)
    names = {"through": None, "crashed": None, "pinned": old_pods}
    uids = {name: used.start(name, **({} if image is None else {"image": image})) for name, image in names.items()}
    for uid in uids.values():
        used.until_steps(uid, 1)
    before = {name: stage.pods(name)[0]["metadata"]["uid"] for name in names}
    secrets = release.secrets()

    with Lookout(stage) as lookout:
        release.upgrade(release.packaged(later), "--set=operator.podAnnotations.rolled=yes")
    print(
        f"nobody looked at a Workflow for {lookout.longest():.1f} s; a run took at most {lookout.slowest_run():.1f} s"
    )
    assert lookout.longest() < LONGEST_PAUSE
    eventually(lambda: {image_of(pod) for pod in release.pods("operator")} == {new}, 30, every=0.3)
    assert schema(used) == SCHEMA_VERSION + 1
    assert release.secrets() == secrets
    assert {name: stage.pods(name)[0]["metadata"]["uid"] for name in names} == before

    # The process of the older release, in the attempt that it was in.
    used.let("through", "go", "on")
    assert stage.until_finished("through")["result"] == [1, 1, 1, 1]
    assert stage.endings(uids["through"]) == ["completed"]
    for name in ("crashed", "pinned"):
        used.let(name, "go")
        used.until_steps(uids[name], 3)
        kill_user_process(stage.cluster, stage.pods(name)[0])
        stage.until_pod(name, 2)
        used.let(name, "on")
        assert stage.until_finished(name)["result"] == [1, 1, 1, 2]
    assert [image_of(pod) for pod in stage.pods("crashed")] == [old_pods, new_pods]
    assert [image_of(pod) for pod in stage.pods("pinned")] == [old_pods, old_pods]


def test_rolled_back_the_older_release_works_under_the_newer_schema(used: Used, later: str) -> None:
    stage, release = used.stage, used.release
    old = release.image()
    if schema(used) == SCHEMA_VERSION:  # this test alone
        release.upgrade(release.packaged(later))
    secrets = release.secrets()
    uid = used.start("back")
    used.until_steps(uid, 1)

    release.run("rollback", "1", "--wait", "--timeout=3m")
    eventually(lambda: {image_of(pod) for pod in release.pods("operator")} == {old}, 30, every=0.3)
    for pod in release.pods("operator"):
        containers = [*pod["status"]["initContainerStatuses"], *pod["status"]["containerStatuses"]]
        assert [one["restartCount"] for one in containers] == [0] * len(containers)
    assert schema(used) == SCHEMA_VERSION + 1
    assert release.secrets() == secrets

    stage.start("again")
    assert stage.until_finished("again")["result"] == "hello you"
    assert image_of(stage.pods("again")[0]) == release.runtime_image()
    used.let("back", "go", "on")
    assert stage.until_finished("back")["result"] == [1, 1, 1, 1]
    assert [image_of(pod) for pod in stage.pods("back")] == [release.runtime_image(later)]
