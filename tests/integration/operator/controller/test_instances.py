"""Several operators share a cluster: each runs the Workflows of its instance, the one without a name all others."""

from __future__ import annotations

from collections.abc import Callable

from tests.harness.eventually import eventually

from ..operators import Operator
from ..scene import Scene

LABEL = "perdure.io/instance"
Start = Callable[..., Operator]


def leads(start: Start, instance: str | None) -> Operator:
    """An operator of an instance, with a Lease of its own."""
    told = {} if instance is None else {"instance": instance}
    operator = start(leader_election_name=f"of-{instance or 'others'}", resync_seconds="1", **told)
    operator.until_leading()
    return operator


def owners(scene: Scene) -> dict[str, str]:
    """Whose run of each Workflow is in the store: what follows the cluster's id."""
    rows = scene.database.query("SELECT name, split_part(owner, '/', 2) FROM perdure.runs")
    return dict(rows)


def test_each_workflow_is_run_once_by_the_operator_of_its_label(scene: Scene, start_operator: Start) -> None:
    operators = {instance: leads(start_operator, instance) for instance in (None, "blue", "green")}
    labels = {"plain": {}, "of-blue": {LABEL: "blue"}, "of-green": {LABEL: "green"}, "of-nobody": {LABEL: "red"}}
    for name, own in labels.items():
        scene.apply(name, labels=own)
    for name in ("plain", "of-blue", "of-green"):
        pod = scene.until_pod(of=name)
        assert pod["metadata"]["labels"].get(LABEL) == labels[name].get(LABEL)
        assert scene.play_to_the_end(pod) == 0
        scene.until_phase("Succeeded", name)
    # In one store, too, each has its own.
    assert owners(scene) == {"plain": "", "of-blue": "blue", "of-green": "green"}
    for operator in operators.values():
        operator.until_compared(1)
        assert operator.metric("workflows") == 1
    assert len(scene.pods()) == 3
    assert scene.status("of-nobody")["observedGeneration"] == -1


def test_one_that_gets_another_label_is_cancelled_and_runs_nowhere_twice(scene: Scene, start_operator: Start) -> None:
    leads(start_operator, "blue")
    leads(start_operator, "green")
    scene.apply(labels={LABEL: "blue"})
    pod = scene.until_pod()
    assert scene.play_to_the_end(pod) == 0
    scene.until_phase("Succeeded")
    scene.apply("held", labels={LABEL: "blue"})
    scene.until_pod(of="held")
    scene.label("held", {LABEL: "green"})
    cancelled = "SELECT cancel FROM perdure.runs WHERE name = 'held'"
    eventually(lambda: scene.database.query(cancelled) == [(True,)], deadline=30)
    assert owners(scene) == {"one": "blue", "held": "blue"}
    assert len(scene.pods()) == 2


def test_a_run_of_another_instance_is_left_alone_and_the_status_says_whose_it_is(
    scene: Scene, start_operator: Start
) -> None:
    leads(start_operator, "blue")
    green = leads(start_operator, "green")
    uid = scene.apply(labels={LABEL: "blue"})
    scene.until_pod()
    scene.label("one", {LABEL: "green"})

    def told() -> str:
        condition = scene.condition("Stalled")
        assert condition is not None
        assert condition["reason"] == "CheckpointsMissing"
        assert "as the run of another operator" in condition["message"]
        return str(condition["message"])

    said = eventually(told, deadline=30)
    assert "/blue" in said
    assert "perdure.io/restart" not in said  # which would change nothing
    restart = {"metadata": {"annotations": {"perdure.io/restart": "1"}}}
    scene.api.patch(f"/apis/perdure.io/v1alpha1/namespaces/{scene.namespace}/workflows/one", restart)
    green.until_compared(2)
    told()
    assert green.metric("queue_failing") == 0
    assert not [line for line in green.log if line["level"] == "error" or "under this id" in str(line)]
    assert [attempt for attempt, _ in scene.attempts(uid)] == [1]
