"""What the operator is measured against: the very pod that it makes for a Workflow, with another program in it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from secrets import token_hex
from uuid import uuid4

from benchmarks.cluster.ground import ClusterGround
from benchmarks.table import Result, Row, paired
from perdure.names import Claim
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, SecretKey, build_pod
from perdure_operator.decide.actions import CreatePod
from tests.cluster.api import Json
from tests.cluster.product import postgres, workflows
from tests.harness.eventually import eventually

__all__ = ["bare_pod", "beyond_a_pod", "ended", "pod_start", "until_no_pods"]

_FIRST_LINE = "import time; at = time.time(); open('/dev/termination-log', 'w').write(str(at))"
_LOOK = 0.25  # seconds: who looks more often takes time from what he looks at


def bare_pod(ground: ClusterGround, namespace: str, code: str, template: Json | None = None) -> Json:
    """A pod as the operator makes it for a Workflow with this podTemplate, which runs `code` and tells nobody."""
    name = f"bare-{token_hex(4)}"
    body = workflows.workflow(name, "", podTemplate=template or {})
    body["metadata"] |= {"namespace": namespace, "uid": str(uuid4()), "generation": 1}
    image = ground.images.runtime.name
    settings = PodSettings(
        database=SecretKey(postgres.POD_SECRET), runtime_image=image, image_pull_policy="IfNotPresent"
    )
    pod = build_pod(parse_workflow(body), CreatePod(1, Claim(uuid4())), settings)
    pod["metadata"] = {"name": name, "namespace": namespace, "labels": {"app": "bare"}}
    pod["spec"]["containers"][0]["command"] = ["python3", "-c", code]
    return pod


def pod_start(ground: ClusterGround, namespace: str) -> float:
    """Seconds from a bare pod's creation to its first line of Python; it is gone when this returns."""
    api, path = ground.cluster.api, f"/api/v1/namespaces/{namespace}/pods"
    pod = bare_pod(ground, namespace, _FIRST_LINE)
    created = time.time()
    api.create(path, pod)
    name = pod["metadata"]["name"]
    last = eventually(lambda: ended(api.get(f"{path}/{name}")), 60, every=_LOOK)
    assert last is not None
    api.delete(f"{path}/{name}")
    until_no_pods(ground, namespace)
    return float(last["message"]) - created


def beyond_a_pod(
    ground: ClusterGround,
    rounds: int,
    work: str,
    measure: Callable[[str], Result],
    *,
    aim: float,
    parts: Mapping[str, str],
) -> Iterable[Row]:
    """How much longer a work takes than a bare pod to its first line of Python.

    `measure` does it in a namespace, and says how many `seconds` it took in all and each of the `parts`.
    """
    with ground.installation.workspace() as namespace:
        pod_start(ground, namespace)  # what happens only once
        measure(namespace)
        taken = paired(
            rounds,
            bare=lambda: {"seconds": pod_start(ground, namespace)},
            ours=lambda: measure(namespace),
        )
    ours, bare = taken["ours"], taken["bare"]["seconds"]
    more = ours["seconds"].minus(bare)
    yield Row(
        work,
        ours["seconds"].text("s", 2),
        f"a bare pod created to its first line of Python {bare.text('s', 2)}",
        f"{more.text('s', 2)} more",
        f"{aim} s more",
        more.median <= aim,
    )
    yield Row("of which", ", ".join(f"{what} {ours[name].text('s', 3)}" for name, what in parts.items()))


def ended(pod: Json) -> Json | None:
    """How the container of a pod ended, once the pod has succeeded."""
    assert pod["status"]["phase"] != "Failed", pod["status"]
    if pod["status"]["phase"] != "Succeeded":
        return None
    return dict(pod["status"]["containerStatuses"][0]["state"]["terminated"])


def until_no_pods(ground: ClusterGround, namespace: str) -> None:
    """Wait until a namespace has no pods, whose end would disturb what comes next."""
    api = ground.cluster.api
    eventually(lambda: not api.get(f"/api/v1/namespaces/{namespace}/pods")["items"], 180, every=_LOOK)
