"""The life of a release, in order: installed by the quick start, used, upgraded, uninstalled, applied without Helm.

The tests follow one another on one release, as its users do; each says what must hold after its step.
"""

from __future__ import annotations

import json
import re
import shlex
from functools import partial
from pathlib import Path

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Capability
from tests.cluster.crds import crd_path, workflow_crd
from tests.cluster.product import workflows
from tests.harness.eventually import eventually

from .release import Release, team_namespace

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[3]
TRANSFER = ROOT / "examples" / "transfer" / "workflow.yaml"
QUICK_START = ROOT / "docs" / "quick-start.md"
HELD = """
import time
from pathlib import Path

from perdure import step, step_context, workflow

@step
def first() -> int:
    return step_context().attempt

@step
def held() -> int:
    print("first is stored", flush=True)
    while step_context().attempt == 1:
        time.sleep(0.1)
    return step_context().attempt

@workflow
def flow() -> list[int]:
    return [first(), held()]
"""
OWN = {"perdure-database", "perdure-pod-database", "perdure-logins"}


@pytest.fixture(scope="module")
def team(release: Release) -> str:
    """The namespace for Workflows, which stays as long as the cluster."""
    return team_namespace(release.cluster)


@pytest.fixture(scope="module")
def installed(release: Release, team: str) -> Release:
    """Installed, by `helm install --wait` with no values but the namespace for Workflows."""
    notes = release.install(f"--set=workflows.databaseSecret.namespaces={{{team}}}")
    assert "NOT FOR PRODUCTION" in notes
    assert f"helm test perdure --namespace {release.namespace}" in notes
    return release


def uids(release: Release, *components: str) -> dict[str, str]:
    """The pods of its components, by name."""
    pods = [pod for component in components for pod in release.pods(component)]
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in pods}


def test_once_installed_it_works(installed: Release) -> None:
    # What --wait waits for is there, twice as the values have it, and nothing of it fell over on the way.
    operators, postgres = installed.pods("operator"), installed.pods("postgres")
    assert (len(operators), len(postgres)) == (2, 1)
    assert len({pod["spec"]["nodeName"] for pod in operators}) == 2
    for pod in [*operators, *postgres]:
        assert [status["ready"] for status in pod["status"]["containerStatuses"]] == [True]
        assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]
    made = installed.secrets()
    assert set(made) == OWN
    assert len(set(installed.passwords().values())) == 3


def test_the_example_runs(installed: Release, team: str) -> None:
    installed.kubectl("apply", f"--filename={TRANSFER}", namespace=team)
    installed.kubectl("wait", "--for=condition=Finished", "dwf/transfer-17", "--timeout=90s", namespace=team)
    done = workflows.get(installed.cluster, team, "transfer-17")
    assert workflows.condition(done, "Succeeded")["status"] == "True", done["status"]
    assert done["status"]["result"]["amount"] == 100


def test_the_notes_next_commands_work(installed: Release, team: str) -> None:
    notes = installed.helm.run("get", "notes", installed.name, f"--namespace={installed.namespace}")
    (where,) = re.findall(r"(?m)^kubectl apply --namespace (\S+) ", notes)
    assert where == team
    installed.kubectl("apply", "--filename=-", given=_between(notes, "<<'END'\n", "\nEND"), namespace=team)
    installed.kubectl("wait", "--for=condition=Finished", "dwf/hello", "--timeout=60s", namespace=team)
    assert workflows.get(installed.cluster, team, "hello")["status"]["result"] == "Hello, world"


def test_the_quick_start_does_what_it_says(installed: Release, team: str) -> None:
    section = QUICK_START.read_text().partition("## 3. ")[2].partition("## 4. ")[0]
    (manifest,) = re.findall(r"(?ms)^```yaml\n(.*?)^```$", section)
    commands = [shlex.split(line, comments=True) for line in re.findall(r"(?m)^\$ kubectl (.*)$", section)]
    told = {}
    for command in commands:
        # Everything as it stands there, but for the namespace and the person who looks at the log.
        said = [word for word in command if word not in ("--namespace", "team-a", "--follow")]
        name, given = (command[0], "")
        if name == "apply":
            said[said.index("countdown.yaml")], given = "-", manifest
        if name == "logs":
            eventually(partial(_has_lines, installed, team, said, 3), deadline=20, every=0.2)
        told[name] = installed.kubectl(*said, given=given, namespace=team)
    assert list(told) == ["apply", "wait", "logs", "delete", "get", "describe"]
    result = json.loads(told["get"])
    assert [int(line.partition(":")[0]) for line in result] == list(range(15, 0, -1))
    attempts = [int(line.rpartition(" ")[2]) for line in result]
    assert (attempts[0], attempts[-1], attempts) == (1, 2, sorted(attempts))
    for event in ("Started", "Disrupted", "Resumed", "Succeeded"):
        assert f" {event} " in told["describe"]


def test_the_operators_pod_shows_what_the_store_has_of_a_run(installed: Release, team: str) -> None:
    # As docs/troubleshooting.md has it.
    uid = installed.kubectl("get", "dwf", "countdown", "--output=jsonpath={.metadata.uid}", namespace=team)
    shown = installed.kubectl("exec", "deployment/perdure-operator", "--", "perdure", "show", uid)
    assert "rocket:countdown" in shown
    assert "count#15" in shown


def test_helm_test_runs_a_workflow_through_a_crash(installed: Release, team: str) -> None:
    told = installed.run("test", "--logs")
    assert "It was killed in its second step and went on from there" in told
    assert not installed.pods("test")
    names = {one["metadata"]["name"] for one in _workflows(installed, team)}
    assert "perdure-test" not in names


@pytest.mark.parametrize(
    ("role", "verbs"), [("view", {"get"}), ("edit", {"get", "create"}), ("admin", {"get", "create"})]
)
def test_who_has_a_role_of_kubernetes_may_do_as_much_with_workflows(
    installed: Release, team: str, role: str, verbs: set[str]
) -> None:
    api, rbac = installed.cluster.api, "/apis/rbac.authorization.k8s.io/v1"
    group = "rbac.authorization.k8s.io"
    binding: Json = {
        "metadata": {"name": f"has-{role}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": f"has-{role}"}],
    }
    api.create(f"{rbac}/namespaces/{team}/rolebindings", binding)

    def may(verb: str, subresource: str = "") -> bool:
        asked = {"namespace": team, "verb": verb, "group": "perdure.io", "resource": "workflows"}
        spec = {"user": f"has-{role}", "resourceAttributes": {**asked, "subresource": subresource}}
        answer = api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", {"spec": spec})
        return bool(answer["status"]["allowed"])

    eventually(lambda: {verb for verb in ("get", "create") if may(verb)} == verbs, deadline=20, every=0.2)
    assert not may("patch", "status")  # which is the operator's


def test_an_upgrade_to_the_same_changes_no_password_and_restarts_nothing(installed: Release) -> None:
    before, pods = installed.secrets(), uids(installed, "operator", "postgres")
    installed.upgrade()
    assert installed.secrets() == before
    assert uids(installed, "operator", "postgres") == pods


def test_uninstalled_it_leaves_what_is_the_users_and_applied_without_helm_goes_on_with_it(
    installed: Release, team: str
) -> None:
    cluster, values = installed.cluster, f"--set=workflows.databaseSecret.namespaces={{{team}}}"
    workflows.create(cluster, team, workflows.workflow("held", HELD))
    pod = workflows.until_pod(cluster, team, "held", 1, deadline=30)["metadata"]["name"]
    eventually(lambda: "first is stored" in installed.kubectl("logs", pod, namespace=team), deadline=30, every=0.2)
    before = installed.secrets()

    told = installed.uninstall()
    assert "data-perdure-postgres-0" in told  # it says what it keeps
    assert installed.secrets() == before
    assert installed.there("persistentvolumeclaims") == {"data-perdure-postgres-0"}
    assert cluster.api.get(crd_path(workflow_crd()))["status"]["conditions"]
    assert {one["metadata"]["name"] for one in _workflows(installed, team)} == {
        "transfer-17",
        "hello",
        "countdown",
        "held",
    }
    assert not [one for one in _workflows(installed, team) if "deletionTimestamp" in one["metadata"]]
    eventually(lambda: not uids(installed, "operator", "postgres"), deadline=60)

    pods: dict[str, str] = {}
    for _ in range(2):
        installed.apply(installed.manifests(values))
        installed.kubectl("rollout", "status", "deployment/perdure-operator", "--timeout=90s")
        assert uids(installed, "operator", "postgres").items() >= pods.items()
        pods = uids(installed, "operator", "postgres")
    assert installed.secrets() == before
    installed.kubectl("delete", "pod", pod, "--now", "--ignore-not-found", namespace=team)
    done = workflows.until_finished(cluster, team, "held", deadline=90)
    first, held = done["status"]["result"]
    assert (first, held > 1) == (1, True)


def _has_lines(release: Release, namespace: str, command: list[str], count: int) -> bool:
    return len(release.kubectl(*command, namespace=namespace).splitlines()) >= count


def _workflows(release: Release, namespace: str) -> list[Json]:
    items: list[Json] = release.cluster.api.get(workflows.path(namespace))["items"]
    return items


def _between(text: str, begin: str, end: str) -> str:
    return text.partition(begin)[2].partition(end)[0]
