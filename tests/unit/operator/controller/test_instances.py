"""Which Workflows are an instance's, and that nothing but those is asked for by whoever asks for many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure_operator.controller.history import History, RetentionPolicy
from perdure_operator.controller.instances import Instance
from perdure_operator.errors import NotFound

LABEL = "perdure.io/instance"


class Cluster:
    """An API server with one Workflow, and what it was asked for."""

    def __init__(self, **labels: str) -> None:
        self.body = {"metadata": {"name": "one", "labels": labels}}
        self.selectors: list[str] = []

    async def get(self, *_: Any) -> Any:
        return self.body

    async def listed(self, *_: Any, namespace: str | None, selector: str = "") -> Any:
        self.selectors.append(selector)
        return [], "1"


def test_its_workflows_have_its_label_and_those_of_nobody_have_none() -> None:
    of_all, blue = Instance(), Instance("blue")
    assert (of_all.workflows, of_all.labels, of_all.owner("cluster:a")) == (f"!{LABEL}", {}, "cluster:a")
    assert (blue.workflows, blue.labels) == (f"{LABEL}=blue", {LABEL: "blue"})
    assert blue.owner("cluster:a") == "cluster:a/blue"
    assert blue.pods.endswith(f",{LABEL}=blue")
    assert "workflow-uid" in blue.pods


@pytest.mark.parametrize(
    ("instance", "labels", "theirs"),
    [
        (None, {}, True),
        (None, {LABEL: "blue"}, False),
        ("blue", {LABEL: "blue"}, True),
        ("blue", {LABEL: "red"}, False),
    ],
)
def test_another_instances_workflow_is_none(instance: str | None, labels: dict[str, str], theirs: bool) -> None:
    cluster: Any = Cluster(**labels)
    asked = Instance(instance).workflow(cluster, "shop", "one")
    if theirs:
        assert asyncio.run(asked) == cluster.body
    else:
        with pytest.raises(NotFound, match="another instance"):
            asyncio.run(asked)


def test_finished_workflows_of_other_instances_are_not_deleted() -> None:
    async def once(cluster: Any) -> None:
        history = History(RetentionPolicy(ttl=1.0), cluster, (), Instance("blue"))
        tidying = asyncio.create_task(history.run())
        while not cluster.selectors:
            await asyncio.sleep(0)
        tidying.cancel()

    cluster = Cluster()
    asyncio.run(once(cluster))
    assert cluster.selectors == [f"{LABEL}=blue"]
