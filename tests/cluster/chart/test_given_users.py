"""For one namespace, with no right of the cluster's, and with users that the platform gives: a release works the same.

It goes with all that it brought, and the kind with it, so that the cluster is as empty as it was.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Capability, Cluster
from tests.cluster.crds import crd_path, install_crd, workflow_crd
from tests.cluster.product import workflows
from tests.cluster.product.image import ProductImages
from tests.harness.eventually import eventually
from tests.harness.nameless import NUMBER

from .release import Release

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

WHO = """
import getpass
import os
from pathlib import Path

from perdure import step, workflow

@step
def look() -> list:
    try:
        Path("/kept").write_text("")
    except OSError as error:
        refused = error.strerror
    (Path.home() / "kept").write_text("")
    return [os.getuid(), os.getgid(), getpass.getuser(), refused]

@workflow
def flow() -> list:
    return look()
"""
# As OpenShift has it: a number for the namespace, with root's group, and files of that number's group.
GIVEN = {"runAsUser": NUMBER, "fsGroup": NUMBER}
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def installed(
    cluster: Cluster, chart_images: ProductImages, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Release]:
    """Installed as a team does it that has a namespace, and administrators who give it the kind and its roles."""
    install_crd(cluster.api, workflow_crd())
    release = Release(cluster, tmp_path_factory.mktemp("team"))
    users = (f"podSecurityContext.{name}={value}" for name, value in {**GIVEN, "runAsGroup": "null"}.items())
    values = (
        f"operator.namespaces={{{release.namespace}}}",
        "operator.clusterId=tests-1",
        "workflows.user=null",
        "workflows.inReleaseNamespace=true",
        "workflows.databaseSecret.key=uri",
        "crds.enabled=false",
        *users,
    )
    release.install(*(f"--set={value}" for value in values))
    yield release
    release.uninstall()
    cluster.api.delete(crd_path(workflow_crd()))
    eventually(lambda: cluster.api.find(crd_path(workflow_crd())) is None, deadline=60)
    cluster.api.delete(f"/api/v1/namespaces/{release.namespace}")


def test_nothing_of_it_is_the_clusters(installed: Release, cluster: Cluster) -> None:
    for plural in ("clusterroles", "clusterrolebindings"):
        found: list[Json] = cluster.api.get(f"{_RBAC}/{plural}")["items"]
        assert [one["metadata"]["name"] for one in found if installed.namespace in str(one)] == []


def test_its_pods_have_the_users_that_they_were_given(installed: Release) -> None:
    for component, container in (("operator", "operator"), ("postgres", "postgres")):
        for pod in installed.pods(component):
            name = pod["metadata"]["name"]
            asked = installed.kubectl("exec", name, f"--container={container}", "--", "id", "-u")
            assert asked.strip() == str(NUMBER)


def test_a_workflow_of_such_a_user_runs(installed: Release, cluster: Cluster) -> None:
    # What an admission plugin of the platform's does to pods that say nothing of users.
    template = {"spec": {"securityContext": GIVEN}}
    workflows.create(cluster, installed.namespace, workflows.workflow("who", WHO, podTemplate=template))
    done = workflows.until_finished(cluster, installed.namespace, "who", deadline=90)
    assert done["status"].get("result") == [NUMBER, 0, "perdure", "Read-only file system"], done["status"]


def test_without_one_given_the_image_has_its_own(installed: Release) -> None:
    told = installed.run("test", "--logs")
    assert "It was killed in its second step and went on from there" in told
    assert set(installed.secrets()["perdure-pod-database"]) == {"uri", "password"}
