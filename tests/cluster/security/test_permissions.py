"""What the release's accounts may do, and what they did as the API server noted it, are the same.

Each right is used by a feature of the product here, so that one which is not used any more is found; what anybody did
beyond the roles is found wherever it was done, on this cluster here and on every cluster when it ends (conftest.py).
"""

from __future__ import annotations

import re

import pytest

from tests.cluster.api import Json
from tests.cluster.audit import AuditLog
from tests.cluster.chart.release import Release, team_namespace
from tests.cluster.cluster import Capability
from tests.cluster.product import workflows
from tests.cluster.rights import Right, rights_of
from tests.harness.eventually import eventually

pytestmark = [
    pytest.mark.capability(Capability.NODE_COMMANDS),
    pytest.mark.capability(Capability.AUDIT),
    pytest.mark.timeout(300),
]

SHORT = """
from perdure import step, workflow

@step
def greet() -> str:
    return "hello"

@workflow
def flow() -> str:
    return greet()
"""
LONG = """
import time
from perdure import step, workflow

@step
def nap(turn: int) -> int:
    time.sleep(0.2)
    return turn

@workflow
def flow() -> None:
    for turn in range(1000):
        nap(turn)
"""


def test_every_right_is_used_and_nothing_else_was_done(installed: Release, team: str, values: Json) -> None:
    use(installed, team)
    # Whose token it is, and what that account may do, the operator asks on its behalf.
    assert installed.scrape(may_read=False)[0] == 403
    installed.run("test")
    compare(installed, values)


def test_for_some_namespaces_roles_are_enough(
    installed: Release, team: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster = installed.cluster
    installed.uninstall()
    eventually(lambda: not installed.pods("operator"), deadline=60, every=0.5)
    release = Release(cluster, tmp_path_factory.mktemp("helm"))
    watched = team_namespace(cluster, "watched")
    values: Json = {
        "crds": {"enabled": False},
        "operator": {"namespaces": [watched], "clusterId": "tests"},
        "workflows": {"databaseSecret": {"namespaces": [watched]}},
    }
    release.install(release.helm.values(values))
    objects = release.helm.objects(values, namespace=release.namespace)
    assert [one["metadata"]["name"] for one in objects if one["kind"].startswith("Cluster")] == []

    elsewhere = workflows.create(cluster, team, workflows.workflow("elsewhere", SHORT))
    use(release, watched)
    release.run("test")
    compare(release, values)
    assert workflows.get(cluster, team, "elsewhere") == elsewhere
    assert workflows.pods(cluster, team, "elsewhere") == []


def use(release: Release, namespace: str) -> None:
    """Have the operator do all that it may, by what a person asks of it."""
    cluster, api = release.cluster, release.cluster.api
    api.create(f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": "code"}, "data": {"flow.py": SHORT}})
    code = {"configMap": {"name": "code"}}
    workflows.create(cluster, namespace, workflows.workflow("brief", SHORT, source=code, ttlSecondsAfterFinished=1))
    workflows.create(cluster, namespace, workflows.workflow("long", LONG, suspend=True))
    nowhere = {"spec": {"nodeSelector": {"there-is": "none"}}}
    workflows.create(cluster, namespace, workflows.workflow("nowhere", SHORT, podTemplate=nowhere))

    def change(**spec: object) -> None:
        api.patch(workflows.path(namespace, "long"), {"spec": spec})

    # Told again, an event is read, and counted up.
    workflows.until_reason(cluster, namespace, "long", "Suspended", deadline=60)
    change(suspend=False)
    workflows.until_reason(cluster, namespace, "long", "Running", deadline=60)
    change(suspend=True)
    workflows.until_reason(cluster, namespace, "long", "Suspended", deadline=60)
    change(suspend=False)
    workflows.until_reason(cluster, namespace, "long", "Running", deadline=60)
    eventually(lambda: counted(release, namespace, "Suspended") == 2, deadline=20, every=0.2)
    # A pod that goes while its run is claimed is asked for. Its process may release the run first, but not each time.
    for attempt in (3, 4, 5):
        pod = workflows.pods(cluster, namespace, "long")[-1]["metadata"]["name"]
        api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod}", {"gracePeriodSeconds": 0})
        workflows.until_pod(cluster, namespace, "long", attempt, deadline=60)
        workflows.until_reason(cluster, namespace, "long", "Running", deadline=60)
    api.delete(workflows.path(namespace, "long"))
    # One whose run is over is deleted.
    workflows.until_pod(cluster, namespace, "nowhere", 1, deadline=60)
    api.patch(workflows.path(namespace, "nowhere"), {"spec": {"cancel": True}})
    eventually(lambda: not workflows.pods(cluster, namespace, "nowhere"), deadline=60, every=0.2)
    eventually(lambda: api.find(workflows.path(namespace, "brief")) is None, deadline=60, every=0.2)


def counted(release: Release, namespace: str, reason: str) -> int:
    """How often an event was told of the Workflow `long`."""
    path = f"/api/v1/namespaces/{namespace}/events"
    items = release.cluster.api.get(path, fieldSelector="involvedObject.name=long")["items"]
    return max((int(event["count"]) for event in items if event["reason"] == reason), default=0)


def compare(release: Release, values: Json) -> None:
    """Hold what its accounts did against the roles of these values, in both directions."""
    objects = release.helm.objects(values, namespace=release.namespace)
    rights = rights_of(one for one in objects if "aggregate-to" not in str(one["metadata"].get("labels")))
    accounts = {right.account.partition("/")[2] for right in rights}
    assert accounts == {"perdure-operator", "perdure-postgres", "perdure-test"}
    eventually(lambda: _same(release, rights), deadline=60, every=1)  # what is not done at once is done in a moment


def _same(release: Release, rights: set[Right]) -> bool:
    with release.cluster.audit_log().open() as lines:
        log = AuditLog(lines)
    deeds = log.of(re.compile(rf"{release.namespace}/.*"))
    refused = [str(deed) for deed in log.wrongly_refused(deeds)]
    # The kinds that there are Kubernetes tells every account.
    about = [deed for deed in deeds if not deed.resource.startswith(("/api", "/version"))]
    beyond = [str(deed) for deed in about if not deed.refused and not any(right.allows(deed) for right in rights)]
    unused = sorted(str(right) for right in rights if not any(right.allows(deed) for deed in about))
    assert {"refused": refused, "in no role": beyond, "never done": unused} == {
        "refused": [],
        "in no role": [],
        "never done": [],
    }
    return True
