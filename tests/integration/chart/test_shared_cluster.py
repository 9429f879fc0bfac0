"""Releases that share a cluster, as Helm installs them on a real API server: no name of one is the other's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import yaml

from perdure_operator.settings import Settings
from tests.cluster.api import Json
from tests.cluster.helm import CHART, Helm, HelmFailed
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.operator.api_server import ApiServer
from tests.integration.operator.operators import Operator
from tests.integration.operator.scene import Scene

from .rights import new_namespace, token_kubeconfig

LABEL = "perdure.io/instance"
CLAIM = "data-perdure-postgres-0"


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[ApiServer]:
    """One on which nobody but Helm makes anything of the cluster's."""
    made = ApiServer(workspace)
    yield made
    made.close()


class Release:
    """One of Helm's; no node runs its pods."""

    def __init__(self, helm: Helm, name: str, namespace: str, *values: str) -> None:
        self.name, self.namespace = name, namespace
        self._helm = helm
        self.notes = helm.run("install", name, str(CHART), f"--namespace={namespace}", *_set(values))

    def run(self, *command: str) -> str:
        return self._helm.run(*command, f"--namespace={self.namespace}")

    def upgrade(self, *values: str) -> None:
        self.run("upgrade", self.name, str(CHART), "--reset-then-reuse-values", *_set(values))

    def objects(self) -> list[Json]:
        return list(yaml.safe_load_all(self.run("get", "manifest", self.name)))

    def names(self) -> set[tuple[str, str, str]]:
        """What it has: kinds, namespaces and names."""
        found = [(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]) for one in self.objects()]
        assert len(found) == len(set(found))
        return set(found)

    def told(self) -> dict[str, str]:
        """The settings of its operator."""
        (deployment,) = [one for one in self.objects() if one["kind"] == "Deployment"]
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = {one["name"]: one.get("value", "") for one in container["env"]}
        settings = {name.removeprefix("PERDURE_OPERATOR_").lower(): value for name, value in told.items()}
        return {name: value for name, value in settings.items() if name in Settings.model_fields}

    def account(self) -> str:
        (deployment,) = [one for one in self.objects() if one["kind"] == "Deployment"]
        return str(deployment["spec"]["template"]["spec"]["serviceAccountName"])


def _set(values: tuple[str, ...]) -> list[str]:
    return [f"--set={value}" for value in values]


Install = Callable[..., Release]


@pytest.fixture
def install(server: ApiServer, tmp_path: Path) -> Iterator[Install]:
    """Installs releases, each in a namespace of its own if none is named; they are gone after the test."""
    helm = Helm(tmp_path, print, server.kubeconfig)
    made: list[Release] = []

    def install(name: str, *values: str, namespace: str = "") -> Release:
        made.append(Release(helm, name, namespace or new_namespace(server.api), *values))
        return made[-1]

    yield install
    for release in made:
        release.run("uninstall", release.name, "--ignore-not-found")


def test_two_instances_have_nothing_in_common(install: Install) -> None:
    """In one namespace, under names of which one begins like the other, and with the same team's namespace."""
    team = ("workflows.databaseSecret.namespaces={default}", "networkPolicy.workflows.namespaces={default}")
    blue = install("perdure", "operator.instance=blue", *team)
    green = install("perdure-two", "operator.instance=green", *team, namespace=blue.namespace)
    assert not blue.names() & green.names()
    assert len(blue.names()) > 15
    for key in ("leader_election_name", "pod_database_secret", "instance"):
        assert blue.told()[key] != green.told()[key]
    # What is nobody's is made once, by the pods: Secrets of these names, and the kind.
    assert 'labels: {perdure.io/instance: "blue"}' in blue.notes


def test_names_that_are_put_together_alike_are_not_the_same(server: ApiServer, install: Install) -> None:
    for namespace in ("b", "a-b"):
        server.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    one = install("perdure-a", "operator.instance=one", namespace="b")
    other = install("perdure", "operator.instance=other", namespace="a-b")
    assert not one.names() & other.names()


def test_two_releases_that_would_run_the_same_workflows_are_refused(install: Install) -> None:
    install("perdure")
    with pytest.raises(HelmFailed, match=r'"perdure-workflows".*invalid ownership metadata'):
        install("another")
    install("blue", "operator.instance=blue")
    with pytest.raises(HelmFailed, match=r'"perdure-workflows.blue".*invalid ownership metadata'):
        install("another", "operator.instance=blue")


def test_two_releases_of_one_instance_may_have_namespaces_of_their_own(server: ApiServer, install: Install) -> None:
    teams = [new_namespace(server.api) for _ in range(2)]
    for number, team in enumerate(teams):
        install(f"release-{number}", f"operator.namespaces={{{team}}}")
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        install("another", f"operator.namespaces={{{teams[0]}}}")


def test_what_a_release_leaves_is_in_no_others_way(install: Install) -> None:
    """The kind is there, and belongs to none."""
    first = install("first")
    first.run("uninstall", "first")
    install("second")


@pytest.mark.timeout(120)
def test_each_runs_the_workflows_of_its_label_with_its_own_rights(
    server: ApiServer, install: Install, database: Database, children: Children, tmp_path: Path
) -> None:
    scene = Scene(server.api, new_namespace(server.api), children, database)
    operators = []
    numbers = count()
    for instance in ("", "blue"):
        release = install(f"perdure-{instance or 'plain'}", f"operator.instance={instance}")
        file = tmp_path / f"kubeconfig-{next(numbers)}"
        account = token_kubeconfig(server, release.namespace, release.account(), file)
        options = release.told() | {"pod_database_secret": "", "namespaces": "", "metrics": "open"}
        operators.append(Operator(children, account, database.url, release.namespace, options))
    for operator in operators:
        operator.until_leading()
    for name, labels in {"plain": {}, "blue": {LABEL: "blue"}}.items():
        scene.apply(name, labels=labels)
        assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
        scene.until_phase("Succeeded", name)
    for operator in operators:
        eventually(partial(_knows, operator, 1))
        operator.check()
    owners = database.query("SELECT name, split_part(owner, '/', 2) FROM perdure.runs")
    assert dict(owners) == {"plain": "", "blue": "blue"}
    assert len(scene.pods()) == 2


def _knows(operator: Operator, workflows: int) -> bool:
    return operator.metric("workflows") == workflows


def storage_class(server: ApiServer, *, grows: bool) -> str:
    name = "grows" if grows else "stays"
    body = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": "example.com/disks",
        "allowVolumeExpansion": grows,
    }
    server.api.apply(f"/apis/storage.k8s.io/v1/storageclasses/{name}", body)
    return name


def give_volume(server: ApiServer, release: Release, capacity: str) -> None:
    """Do what a provisioner does for the claim of the release's Postgres."""
    path = f"/api/v1/namespaces/{release.namespace}/persistentvolumeclaims/{CLAIM}"
    bound = {"phase": "Bound", "capacity": {"storage": capacity}, "accessModes": ["ReadWriteOnce"]}
    server.api.patch(f"{path}/status", {"status": bound})
    server.api.patch(path, {"spec": {"volumeName": f"volume-of-{release.namespace}"}})


def size(server: ApiServer, release: Release) -> str:
    path = f"/api/v1/namespaces/{release.namespace}/persistentvolumeclaims/{CLAIM}"
    return str(server.api.get(path)["spec"]["resources"]["requests"]["storage"])


def test_the_volume_of_postgres_grows_by_an_upgrade(server: ApiServer, install: Install) -> None:
    release = install("perdure", f"postgres.storage.className={storage_class(server, grows=True)}")
    give_volume(server, release, "1Gi")
    release.upgrade("postgres.storage.size=3Gi")
    assert size(server, release) == "3Gi"
    give_volume(server, release, "3Gi")
    release.upgrade("operator.podAnnotations.seen=yes")
    assert size(server, release) == "3Gi"
    with pytest.raises(HelmFailed, match="field can not be less than"):
        release.upgrade("postgres.storage.size=2Gi")
    release.run("uninstall", "perdure")
    assert size(server, release) == "3Gi"
    again = install(
        "perdure", "postgres.storage.className=grows", "postgres.storage.size=3Gi", namespace=release.namespace
    )
    assert size(server, again) == "3Gi"


def test_a_volume_that_cannot_grow_stays_and_the_upgrade_says_why(server: ApiServer, install: Install) -> None:
    release = install("perdure", f"postgres.storage.className={storage_class(server, grows=False)}")
    give_volume(server, release, "1Gi")
    with pytest.raises(HelmFailed, match="must support resize"):
        release.upgrade("postgres.storage.size=3Gi")
    assert size(server, release) == "1Gi"
