"""Where the code of a run comes from, and that a run goes on with the code that it started with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.images import Image
from tests.cluster.off_the_clock import off_the_clock
from tests.harness.eventually import eventually

from . import workflows
from .image import own_image
from .installation import Installation
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
def own_code(cluster: Cluster, request: pytest.FixtureRequest) -> Image:
    """The image of a user, on every node."""
    with off_the_clock(request):
        image = own_image(print)
        cluster.load(image)
    return image


@pytest.fixture(scope="module")
def stage(perdure: Installation, own_code: Image) -> Iterator[Stage]:
    """Everything that these tests run, started at once."""
    with Stage.on(perdure) as stage:
        files = {"shop/__init__.py": "", "shop/prices.py": "PRICE = 7", "shop/orders.py": ORDERS}
        stage.start("in-files", entrypoint="shop.orders:order", source={"inline": files}, input={"count": 6})
        for name in ("edited", "deleted"):
            config_map(stage, name, {"flow.py": VERSIONED, "version.py": "VERSION = 'first'"})
            stage.start(name, source={"configMap": {"name": name}})
        own: Json = {"image": own_code.name, "source": None, "input": {"loaves": 2}}
        stage.start("from-own-image", entrypoint="bakery.orders:order", **own)
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


def test_code_in_the_workflow_itself_may_be_a_package(stage: Stage) -> None:
    assert stage.until_finished("in-files")["result"] == 42


def test_code_from_an_image_of_ones_own(stage: Stage) -> None:
    uid = stage.uid("from-own-image")
    assert stage.until_finished("from-own-image")["result"] == {
        "flour": 1000,
        "loaves": ["bread", "bread"],
        "file": "/app/bakery/orders.py",
        "python": "/venv",
        "user": 2000,
    }
    assert stage.endings(uid) == ["crashed", "completed"]
    assert [row["attempt"] for row in stage.installation.store.steps(uid)] == [1, 2]


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
    books = stage.installation.store.rows("SELECT name, balance - opened_with AS moved FROM perdure_shared.accounts")
    moved = {row["name"]: row["moved"] for row in books if row["moved"]}
    assert moved == {"alice": -100, "paid out": 100}


def test_the_small_examples_run(stage: Stage) -> None:
    assert stage.until_finished("hello")["result"] == "Hello, world"
    assert stage.until_finished("cleanup")["result"] == ["removed a", "removed b", "removed c"]


def begun(stage: Stage, uid: str, attempt: int) -> bool:
    """Whether an attempt's process has begun."""
    return any(row["begun"] for row in stage.installation.store.attempts(uid) if row["attempt"] == attempt)
