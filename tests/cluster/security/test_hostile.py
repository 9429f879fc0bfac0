"""A hostile workflow, in its own pod and with what is there, gets nothing but its own run; what it may do is bounded.

It tells how each of its attempts ended (hostile/), and knows more than it could: where everything is, whose run to
attack, and where the operator listens. Its own steps are the control: they were stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.chart.release import Release
from tests.cluster.cluster import Capability
from tests.cluster.product import workflows
from tests.cluster.product.database import Store
from tests.harness.eventually import eventually

pytestmark = [pytest.mark.capability(Capability.NODE_COMMANDS), pytest.mark.timeout(300)]

HOSTILE = Path(__file__).with_name("hostile")
SECRET = "secret-of-the-victim"
VICTIM = """
import time
from pathlib import Path
from perdure import step, workflow

@step
def learn(secret: str) -> str:
    return secret

@step
def wait() -> str:
    while not Path("/tmp/go").exists():
        time.sleep(0.05)
    return "done"

@workflow
def flow(secret: str) -> list[str]:
    return [learn(secret), wait()]
"""
GATE = "perdure.io/until-the-attack-is-over"
NO_RIGHT, NOT_OURS, LOGIN_OF_OTHERS = "refused: 42501", "done: 3", "done: 9"


@dataclass(frozen=True, slots=True)
class Scene:
    """What the attack was told, and what it told."""

    release: Release
    store: Store
    team: str
    run: str
    told: dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def store(installed: Release) -> Iterator[Store]:
    """The release's own, for an administrator."""
    password = installed.secrets()["perdure-database"]["password"]
    made = Store(installed.cluster, installed.namespace, "perdure-postgres", password)
    yield made
    made.close()


@pytest.fixture(scope="module")
def scene(installed: Release, store: Store, team: str, others: str) -> Scene:
    """The attack is over, and its victims have gone on to their end as if nothing had happened."""
    cluster, namespace = installed.cluster, others
    body = workflows.workflow("victim", VICTIM, input={"secret": SECRET})
    victim = workflows.create(cluster, namespace, body)["metadata"]["uid"]
    eventually(lambda: [row["step_key"] for row in store.steps(victim)] == ["learn"], deadline=60, every=0.2)
    eventually(lambda: store.attempts(victim)[0]["image"], deadline=30, every=0.2)  # the operator's last word for now
    # This one has not begun: its claim, which `view` in that namespace shows, is still good for a begin.
    gated = {"spec": {"schedulingGates": [{"name": GATE}]}}
    body = workflows.workflow("waiting", VICTIM, input={"secret": SECRET}, podTemplate=gated)
    waiting = workflows.create(cluster, namespace, body)["metadata"]["uid"]
    gated_pod = workflows.until_pod(cluster, namespace, "waiting", 1, deadline=60)
    before = {run: rows_of(store, run) for run in (victim, waiting)}

    run = attack(installed, store, (team, others), victim, gated_pod)
    eventually(lambda: (store.run(run) or {}).get("finished"), deadline=150, every=0.5)
    done = store.run(run)
    assert done is not None
    assert done["state"] == "succeeded", (done["error"], store.attempts(run))

    assert {run: rows_of(store, run) for run in (victim, waiting)} == before
    name = gated_pod["metadata"]["name"]
    cluster.api.patch(f"/api/v1/namespaces/{namespace}/pods/{name}", {"spec": {"schedulingGates": None}})
    eventually(lambda: [row["step_key"] for row in store.steps(waiting)] == ["learn"], deadline=60, every=0.2)
    for which, uid in (("victim", victim), ("waiting", waiting)):
        pod = workflows.until_pod(cluster, namespace, which, 1, deadline=5)["metadata"]["name"]
        pods.run_in(cluster, namespace, pod, ["touch", "/tmp/go"], container="workflow")
        finished = workflows.until_finished(cluster, namespace, which)
        assert finished["status"]["result"] == [SECRET, "done"]
        assert [row["ending"] for row in store.attempts(uid)] == ["completed"]
    return Scene(installed, store, team, run, done["result"])


def claim_shown_by(pod: Json) -> str:
    """As `view` in its namespace shows it."""
    [container] = pod["spec"]["containers"]
    return str(next(one["value"] for one in container["env"] if one["name"] == "PERDURE_CLAIM"))


def attack(release: Release, store: Store, teams: tuple[str, str], victim: str, waiting: Json) -> str:
    """Begin it in the first team's namespace, at runs in the second one's; its run."""
    cluster, (team, others) = release.cluster, teams
    [row] = store.rows(
        "SELECT perdure.channel('work', owner) AS work, perdure.channel('done', owner) AS done FROM perdure.runs"
        " WHERE id = %s",
        victim,
    )
    nodes = [
        address["address"]
        for node in cluster.api.get("/api/v1/nodes")["items"]
        for address in node["status"]["addresses"]
        if address["type"] == "InternalIP"
    ]
    pod = workflows.until_pod(cluster, others, "victim", 1, deadline=5)
    given = {
        "victim": victim,
        "victims_claim": claim_shown_by(pod),
        "waiting": waiting["metadata"]["labels"]["perdure.io/workflow-uid"],
        "waitings_claim": claim_shown_by(waiting),
        "channels": [row["work"], row["done"]],
        "store": f"perdure-postgres.{release.namespace}.svc:5432",
        "namespace": release.namespace,
        "operator": release.pods("operator")[0]["status"]["podIP"],
        "nodes": nodes,
    }
    files = {f"hostile/{file.name}": file.read_text() for file in HOSTILE.glob("*.py")}
    body = workflows.workflow("hostile", "", "hostile.flow:attack", source={"inline": files}, input={"given": given})
    return str(workflows.create(cluster, team, body)["metadata"]["uid"])


def rows_of(store: Store, run: str) -> list[Any]:
    """All that the store has of a run, but for its heart, which beats."""
    of_runs = "SELECT to_json(r)::text AS row FROM perdure.{} r WHERE r.{} = %s"
    found = []
    for table, key in (("runs", "id"), ("steps", "run_id"), ("attempts", "run_id")):
        found += store.rows(of_runs.format(table, key), run)
    assert len(found) in (2, 3)  # before its first step it has none
    return found


def test_its_own_steps_are_stored(scene: Scene) -> None:
    keys = [row["step_key"] for row in scene.store.steps(scene.run)]
    assert keys == [
        "tables",
        "schema_and_server",
        "functions",
        "bounds",
        "many_sessions",
        "notifications",
        "logins",
        "kubernetes",
        "network",
        "metrics",
        "host",
        "programs",
        "sessions_of_others",
    ]
    assert scene.told["functions"]["heartbeat of our own"] == "done: 0"


def test_no_table_is_open_to_it(scene: Scene) -> None:
    told = scene.told["tables"]
    assert len(told) == 80
    assert {what: how for what, how in told.items() if how != NO_RIGHT} == {}


def test_neither_schema_nor_roles_nor_server_are_its_to_change(scene: Scene) -> None:
    told = scene.told["schema and server"]
    assert len(told) == 50
    assert {what: how for what, how in told.items() if how != NO_RIGHT} == {}


def test_no_function_serves_it_for_another_run_or_attempt(scene: Scene) -> None:
    told = scene.told["functions"]
    of_victim = {what: how for what, how in told.items() if "the victim's run" in what}
    assert len(of_victim) == 24
    loads = {what: how for what, how in of_victim.items() if what.startswith("load")}
    assert set(loads.values()) == {"refused: PD003"}  # superseded
    assert of_victim.pop("begin the victim's run with its claim") == LOGIN_OF_OTHERS
    assert {how for what, how in of_victim.items() if what not in loads} == {NOT_OURS}
    assert told["begin our run with its token"] == NOT_OURS
    assert told["heartbeat of our own with its claim"] == NOT_OURS
    assert told["begin our run in a second process"] == "done: 7"
    assert told["begin our run as a client of the past"] == "done: 8"
    assert told["begin our run with a guess"] == NOT_OURS
    assert [row["attempt"] for row in scene.store.attempts(scene.run)] == [1]


def test_a_run_of_another_namespace_that_has_not_begun_is_closed_to_its_login(scene: Scene) -> None:
    told = {what: how for what, how in scene.told["functions"].items() if "the waiting run" in what}
    assert told == {
        "begin the waiting run with its claim": LOGIN_OF_OTHERS,
        "load the waiting run with its claim": "refused: PD003",
        **{
            f"{function} the waiting run with its claim": NOT_OURS
            for function in ("checkpoint", "heartbeat", "finish", "release_run")
        },
        **{
            f"{function} of the waiting run": "done: nothing"
            for function in ("own_values", "own_steps", "own_attempts")
        },
    }


def test_what_it_stores_is_bounded(scene: Scene) -> None:
    assert scene.told["bounds"] == {
        "a huge result of a step": "refused: 54000",
        "a huge error of a step": "refused: 54000",
        "a long name of a step": "refused: 54000",
        "a huge result of the run": "refused: 54000",
        "a huge error of the run": "refused: 54000",
    }


def test_connections_are_left_for_the_operator(scene: Scene) -> None:
    told = scene.told["many sessions"]
    assert "remaining connection slots are reserved" in told["the last of many"]
    assert 200 <= int(told["before"]) <= 250


def test_of_the_operators_sessions_it_neither_reads_nor_ends_any(scene: Scene) -> None:
    assert scene.told["sessions"] == {
        "query texts of the operator": "done: <insufficient privilege>",
        "end the operator's": NO_RIGHT,
        "cancel the operator's": NO_RIGHT,
        # Of its own login it may, and that is its own pods'.
        "end those with our login": "done: True",
    }


def test_what_it_makes_the_operator_hear_changes_nothing(scene: Scene) -> None:
    assert scene.told["notifications"] == {"the operator's channels": "done: "}
    for pod in scene.release.pods("operator"):
        assert [status["restartCount"] for status in pod["status"]["containerStatuses"]] == [0]


def test_no_other_login_is_open_to_it(scene: Scene) -> None:
    assert scene.told["logins"] == {
        "the owner without a password": "refused: fe_sendauth: no password supplied",
        "the owner with our password": 'refused: password authentication failed for user "perdure"',
        "an administrator with our password": 'refused: password authentication failed for user "postgres"',
        "ours without a password": "refused: fe_sendauth: no password supplied",
        "a copy of everything": "refused: permission denied to start WAL sender",
        "ours in another database": 'refused: permission denied for database "postgres"',
        "ours where databases are copied from": 'refused: permission denied for database "template1"',
    }


def test_to_the_api_server_and_to_kubelets_it_is_nobody(scene: Scene) -> None:
    told = scene.told["kubernetes"]
    assert told.pop("a token") == "refused: ENOENT"
    of_kubelets = {what: told.pop(what) for what in list(told) if "of kubelet" in what}
    assert len(of_kubelets) == 4 * len(scene.release.cluster.api.get("/api/v1/nodes")["items"])
    assert set(of_kubelets.values()) == {"refused: HTTP 401"}
    assert len(told) == 13
    assert set(told.values()) == {"refused: HTTP 403"}


def test_the_operators_port_tells_that_it_is_well_and_changes_nothing(scene: Scene) -> None:
    told = scene.told["network"]
    assert told.pop("the node's metadata") in {"refused: TimeoutError", "refused: ENETUNREACH", "refused: EHOSTUNREACH"}
    assert (told.pop("GET /livez"), told.pop("GET /readyz")) == ("done: ok\n", "done: ok\n")
    assert {what: how for what, how in told.items() if not what.startswith("GET")} == {
        f"{method} {path}": "refused: HTTP 405"
        for method in ("POST", "PUT", "PATCH", "DELETE")
        for path in ("/livez", "/readyz")
    }
    assert {how for what, how in told.items() if what.startswith("GET")} == {"refused: HTTP 404"}


def test_metrics_are_not_for_it(scene: Scene) -> None:
    assert scene.told["metrics"] == {
        "by HTTP": "refused: HTTP 404",
        "without a token": "refused: HTTP 401",
        "with a guess": "refused: HTTP 401",
        "with a password": "refused: HTTP 401",
        "beside it": "refused: HTTP 404",
    }


def test_metrics_hold_no_secret(scene: Scene) -> None:
    status, text = scene.release.scrape(may_read=True)
    assert status == 200
    assert "perdure_operator_leading" in text
    secrets = scene.release.passwords().values()
    claims = [str(row["claim"]) for row in scene.store.rows("SELECT claim FROM perdure.attempts")]
    assert secrets
    assert claims
    assert [one for one in (SECRET, scene.run, *secrets, *claims) if one in text] == []


def test_the_node_is_out_of_its_reach(scene: Scene) -> None:
    told = scene.told["host"]
    assert told == {
        "processes of others": "[]",
        "sockets": "[]",
        "user": "10001:10001",
        "CapEff": "0" * 16,
        "CapBnd": "0" * 16,
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "become root": "refused: EPERM",
        "a user namespace": "refused: EPERM",
        "mount": "refused: EPERM",
        "a device": "refused: EPERM",
        "write to the image": "refused: EROFS",
        "write to the kernel": "refused: EROFS",
        "the image's passwords": "refused: EACCES",
        "raw packets": "refused: EPERM",
    }


def test_a_program_that_a_step_starts_finds_none_of_its_secrets(scene: Scene) -> None:
    told = scene.told["programs"]
    assert (told.pop("mem of the child"), told.pop("mem of the supervisor")) == ("refused", "refused")
    # Of a process that may not be looked into the kernel shows no environment, either.
    assert {told.pop("environ of the child"), told.pop("environ of the supervisor")} <= {"refused", "[]"}
    assert told == {"inherited": "[]", "cmdline of the child": "[]", "cmdline of the supervisor": "[]"}


def test_beside_the_operator_it_gets_neither_pod_nor_run(installed: Release, store: Store) -> None:
    """From there it would have the operator's account, and the login that owns the store."""
    cluster, namespace = installed.cluster, installed.namespace
    url = {"name": "OWNER", "valueFrom": {"secretKeyRef": {"name": "perdure-database", "key": "url"}}}
    jewels = {
        "serviceAccountName": "perdure-operator",
        "automountServiceAccountToken": True,
        "containers": [{"name": "workflow", "env": [url]}],
    }
    run = workflows.create(cluster, namespace, workflows.workflow("jewels", VICTIM, podTemplate={"spec": jewels}))
    workflows.until_reason(cluster, namespace, "jewels", "NamespaceRefused", deadline=60)
    before = {pod["metadata"]["uid"] for pod in installed.pods("operator")}
    # A new leader finds it again, and has no memory of it.
    installed.kubectl("rollout", "restart", "deployment/perdure-operator")
    installed.kubectl("rollout", "status", "deployment/perdure-operator", "--timeout=120s")
    eventually(lambda: not before & {pod["metadata"]["uid"] for pod in installed.pods("operator")}, deadline=60)
    cluster.api.patch(workflows.path(namespace, "jewels"), {"spec": {"backoffLimit": 7}})
    workflows.until(cluster, namespace, "jewels", lambda body: body["status"]["observedGeneration"] == 2, deadline=60)
    workflows.until_reason(cluster, namespace, "jewels", "NamespaceRefused", deadline=10)
    assert workflows.pods(cluster, namespace, "jewels") == []
    assert store.run(run["metadata"]["uid"]) is None
    cluster.api.delete(workflows.path(namespace, "jewels"))


def test_it_keeps_no_migration_from_going_on(scene: Scene) -> None:
    release = scene.release
    files = {f"hostile/{file.name}": file.read_text() for file in HOSTILE.glob("*.py")}
    body: Json = workflows.workflow("obstructs", "", "hostile.flow:obstruct", source={"inline": files})
    run = workflows.create(release.cluster, scene.team, body)["metadata"]["uid"]
    eventually(lambda: [row["step_key"] for row in scene.store.steps(run)] == ["obstruct"], deadline=60, every=0.2)
    [row] = scene.store.steps(run)
    assert row["result"] == NO_RIGHT
    release.kubectl("rollout", "restart", "deployment/perdure-operator")
    release.kubectl("rollout", "status", "deployment/perdure-operator", "--timeout=120s")
    waits = "SELECT pid FROM pg_stat_activity WHERE state = 'idle in transaction' AND starts_with(usename::text, %s)"
    assert scene.store.rows(waits, "perdure_pods_team_")  # it still held its transaction open
    release.cluster.api.delete(workflows.path(scene.team, "obstructs"))
