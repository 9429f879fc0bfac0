"""Where the code of a run comes from, and that a run goes on with the code that it started with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import Json
from tests.harness.eventually import eventually

from . import workflows
from .installation import Installation
from .postgres import LOCKED
from .stage import HELD, Stage

pytestmark = pytest.mark.timeout(300)

TREE = Path(__file__).resolve().parents[3]
EXAMPLES = TREE / "crds" / "examples"

ORDERS = """
from shop.prices import PRICE
from perdure import workflow

@workflow
def order(count: int) -> int:
    return count * PRICE
"""

VERSIONED = HELD.replace('return "after"', "return VERSION") + "\nfrom version import VERSION\n"


@pytest.fixture(scope="module")
def stage(perdure: Installation) -> Iterator[Stage]:
    """Everything that these tests run, started at once."""
    with Stage.on(perdure) as stage:
        files = {"shop/__init__.py": "", "shop/prices.py": "PRICE = 7", "shop/orders.py": ORDERS}
        stage.start("in-files", entrypoint="shop.orders:order", source={"inline": files}, input={"count": 6})
        for name in ("edited", "deleted"):
            config_map(stage, name, {"flow.py": VERSIONED, "version.py": "VERSION = 'first'"})
            stage.start(name, source={"configMap": {"name": name}})
        stage.start("from-image", **from_image(perdure.image.name))
        user = {"spec": {"securityContext": {"runAsUser": 10001}}}
        stage.start("without-perdure", image=stage.cluster.image, backoffLimit=0, podTemplate=user)
        stage.start("waits", source={"configMap": {"name": "later"}}, entrypoint="later:later")
        examples = [str(TREE / "examples" / "transfer" / "workflow.yaml")]
        examples += [str(EXAMPLES / name) for name in ("hello.yaml", "config-map.yaml")]
        stage.kubectl("apply", *(f"--filename={path}" for path in examples))
        yield stage


def config_map(stage: Stage, name: str, data: dict[str, str]) -> None:
    """Create a ConfigMap, or have it hold these files and no others."""
    path = f"/api/v1/namespaces/{stage.namespace}/configmaps/{name}"
    stage.cluster.api.apply(path, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def from_image(image: str) -> Json:
    """A spec with an image that has its code where Python finds it: an init container stands in for who built it."""
    code = "from perdure import workflow\n\n@workflow\ndef flow() -> str:\n    return __file__\n"
    write = f"import pathlib; pathlib.Path('/code/baked.py').write_text({code!r})"
    mount = {"name": "code", "mountPath": "/code"}
    maker = {
        "name": "make",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", write],
        "securityContext": LOCKED,
        "volumeMounts": [mount],
    }
    container = {
        "name": "workflow",
        "env": [{"name": "PYTHONPATH", "value": "/code"}],
        "volumeMounts": [mount],
        "imagePullPolicy": "IfNotPresent",
    }
    template = {"initContainers": [maker], "containers": [container], "volumes": [{"name": "code", "emptyDir": {}}]}
    return {"image": image, "source": None, "entrypoint": "baked:flow", "podTemplate": {"spec": template}}


def test_code_in_the_workflow_itself_may_be_a_package(stage: Stage) -> None:
    assert stage.until_finished("in-files")["result"] == 42


def test_code_from_an_image(stage: Stage) -> None:
    assert stage.until_finished("from-image")["result"] == "/code/baked.py"
    attempt = stage.installation.store.attempts(stage.uid("from-image"))[0]
    assert attempt["ending"] == "completed"


def test_an_image_without_perdure_is_told(stage: Stage) -> None:
    status = stage.until_finished("without-perdure")
    finished = workflows.condition({"status": status}, "Finished")
    assert finished["reason"] == "BackoffLimitExceeded"
    assert '"perdure": executable file not found' in finished["message"]


@pytest.mark.parametrize("change", ["edited", "deleted"])
def test_what_becomes_of_a_config_map_changes_nothing_for_a_run_that_has_started(stage: Stage, change: str) -> None:
    uid = stage.uid(change)
    stage.until_held(change)
    if change == "edited":
        config_map(stage, change, {"flow.py": "raise SystemExit", "version.py": "VERSION = 'second'"})
    else:
        stage.cluster.api.delete(f"/api/v1/namespaces/{stage.namespace}/configmaps/{change}")
    (pod,) = stage.pods(change)
    path = f"/api/v1/namespaces/{stage.namespace}/pods/{pod['metadata']['name']}"
    stage.cluster.api.delete(path, gracePeriodSeconds="0")
    eventually(lambda: begun(stage, uid, 2), 90, every=0.3)
    stage.release(change)
    assert stage.until_finished(change)["result"] == ["before", "held", "first"]
    assert [row["attempt"] for row in stage.installation.store.steps(uid)] == [1, 2, 2]


def test_a_config_map_that_is_not_there_yet_is_waited_for(stage: Stage) -> None:
    stage.until_reason("waits", "SourceMissing")
    later = "from perdure import workflow\n\n@workflow\ndef later() -> str:\n    return 'at last'\n"
    config_map(stage, "later", {"later.py": later})
    assert stage.until_finished("waits")["result"] == "at last"


def test_the_money_transfer_of_the_examples(stage: Stage) -> None:
    stage.kubectl("wait", "--for=condition=Finished", "--timeout=80s", "dwf/transfer-17")
    status = stage.get("transfer-17")["status"]
    assert status["phase"] == "Succeeded", status
    given = yaml.safe_load((TREE / "examples" / "transfer" / "workflow.yaml").read_text())["spec"]["input"]
    assert {key: status["result"][key] for key in given} == given
    assert status["result"]["reference"] == "OB-0001"
    books = stage.installation.store.rows("SELECT name, balance - opened_with AS moved FROM bank.accounts")
    moved = {row["name"]: row["moved"] for row in books if row["moved"]}
    assert moved == {"alice": -100, "paid out": 100}


def test_the_small_examples_run(stage: Stage) -> None:
    assert stage.until_finished("hello")["result"] == "Hello, world"
    assert stage.until_finished("cleanup")["result"] == ["removed a", "removed b", "removed c"]


def begun(stage: Stage, uid: str, attempt: int) -> bool:
    """Whether an attempt's process has begun."""
    return any(row["begun"] for row in stage.installation.store.attempts(uid) if row["attempt"] == attempt)
