"""The kind Workflow comes with the operator's pods, as the newest release that was here has it, whatever Helm does."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest

from tests.cluster.api import Json
from tests.cluster.crds import crd_path, until_served, workflow_crd
from tests.cluster.helm import Helm
from tests.cluster.rights import give_rights
from tests.harness.eventually import eventually
from tests.harness.workspace import Workspace
from tests.integration.operator.api_server import ApiServer

from .rights import Chores, new_namespace

PATH = crd_path(workflow_crd())
FIELD = "sinceLater"


def of_release(release: str | None, *, field: bool = False) -> Json:
    """The kind as a release has it, or as somebody made it who did not say; with a field that is new."""
    definition = deepcopy(workflow_crd())
    definition["metadata"]["annotations"] = {} if release is None else {"perdure.io/release": release}
    if field:
        spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"][FIELD] = {"type": "string"}
    return definition


class Cluster:
    """One in which releases of several versions come and go."""

    def __init__(self, server: ApiServer, helm: Helm, folder: Path) -> None:
        self.api = server.api
        self.namespace = new_namespace(self.api)
        self._folder = folder
        self._chores = Chores(server, self.namespace, folder)
        give_rights(helm, self.api, self.namespace, {})

    def start(self, definition: Json) -> subprocess.Popen[str]:
        """A pod of the operator's of that release is about to start."""
        release = definition["metadata"]["annotations"].get("perdure.io/release")
        file = self._folder / f"kind-{release}.json"
        file.write_text(json.dumps(definition))
        return self._chores.start("kind", "perdure-operator", FILE=str(file))

    def bring(self, definition: Json) -> str:
        """A pod of the operator's starts."""
        with self.start(definition) as process:
            printed, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
        return printed

    def release(self) -> str:
        """That of the kind."""
        return str(self.api.get(PATH)["metadata"]["annotations"]["perdure.io/release"])

    def has_field(self) -> bool:
        """Whether it has the field that is new."""
        (version,) = self.api.get(PATH)["spec"]["versions"]
        return FIELD in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]

    def forget(self) -> None:
        """Nobody has brought it yet."""
        if self.api.find(PATH) is not None:
            self.api.delete(PATH)
        eventually(lambda: self.api.find(PATH) is None, 30)


@pytest.fixture(scope="module")
def server(workspace: Workspace) -> Iterator[ApiServer]:
    """One in which nobody else needs the kind."""
    made = ApiServer(workspace)
    yield made
    made.close()


@pytest.fixture
def cluster(server: ApiServer, helm: Helm, tmp_path: Path) -> Cluster:
    """Without the kind."""
    made = Cluster(server, helm, tmp_path)
    made.forget()
    return made


def test_where_there_is_none_it_is_made_and_can_be_used_at_once(cluster: Cluster) -> None:
    assert cluster.bring(of_release("0.1.0")) == "The kind Workflow is that of 0.1.0\n"
    made = cluster.api.get(PATH)
    assert {one["type"]: one["status"] for one in made["status"]["conditions"]}["Established"] == "True"
    # It is nobody's: no release of Helm's owns it, and none refuses to be installed beside it.
    assert "labels" not in made["metadata"]
    assert set(made["metadata"]["annotations"]) == {"perdure.io/release"}


def test_an_older_release_leaves_a_newer_kind_and_the_fields_of_its_workflows(cluster: Cluster) -> None:
    cluster.bring(of_release("0.2.0", field=True))
    until_served(cluster.api, workflow_crd())
    path = f"/apis/perdure.io/v1alpha1/namespaces/{cluster.namespace}/workflows"
    spec = {"entrypoint": "a:b", FIELD: "kept"}
    body: Json = {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "one"}, "spec": spec}

    def made() -> bool:  # the schema of a moment ago may be there for a moment more
        cluster.api.apply(f"{path}/one", body)
        return bool(cluster.api.get(f"{path}/one")["spec"].get(FIELD) == "kept")

    eventually(made, 30)
    # Rolled back, the older operator starts.
    assert cluster.bring(of_release("0.1.0")) == "The kind Workflow stays that of 0.2.0: this is 0.1.0\n"
    assert cluster.has_field()
    cluster.api.patch(f"{path}/one", {"metadata": {"labels": {"seen": "later"}}})
    assert cluster.api.get(f"{path}/one")["spec"][FIELD] == "kept"


def test_an_older_kind_and_one_that_does_not_say_are_brought_to_the_release(cluster: Cluster) -> None:
    for before in (None, "no version", "0.1.0", "0.1.1-rc.9", "0.1.1-rc.10", "0.1.1"):
        cluster.api.apply(PATH, of_release(before))
        cluster.bring(of_release("0.1.1", field=True))
        assert (cluster.release(), cluster.has_field()) == ("0.1.1", True), before


def test_what_is_newer_stays(cluster: Cluster) -> None:
    for newer in ("0.1.1", "0.1.2-dev", "0.1.10", "0.10.0", "1.0.0-rc.1"):
        cluster.api.apply(PATH, of_release(newer, field=True))
        cluster.bring(of_release("0.1.1-rc.10"))
        assert (cluster.release(), cluster.has_field()) == (newer, True)


def test_of_releases_that_start_at_once_the_newest_wins(cluster: Cluster) -> None:
    for _ in range(3):
        cluster.forget()
        kinds = [of_release("0.1.0"), of_release("0.3.0", field=True), of_release("0.2.0")]
        started = [cluster.start(definition) for definition in kinds]
        for process in started:
            _, errors = process.communicate(timeout=60)
            assert process.returncode == 0, errors
        assert (cluster.release(), cluster.has_field()) == ("0.3.0", True)
