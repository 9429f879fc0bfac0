"""Every run, every pod and every switch of a spec, by name; tests take them all with all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import (
    Condition,
    Limits,
    Observed,
    Pod,
    PodPhase,
    Policy,
    Run,
    Stage,
    Status,
    Workflow,
)
from tests.unit.operator.decide.builders import (
    LIMITS,
    NOW,
    OTHER_STORE,
    STORE,
    ago,
    begun,
    claimed,
    ended_attempt,
    over,
    pod,
    run,
    spec,
    started,
    token,
    workflow,
)

__all__ = ["PODS", "RUNS", "SITUATIONS", "STATUSES", "SWITCHES", "in_situations", "of_one_run"]


CLEANUPS = (("may clean up", 60.0, False), ("cleans up", 20.0, True), ("should have cleaned up", -100.0, True))
"""What is left of the time for it, and whether the workflow has been told of its cancellation."""


def _held() -> Mapping[str, Run]:
    """Runs that have not ended, as their attempts left them."""
    crashed = ended_attempt()
    return {
        "new": run(),
        "crashed": run(attempt=1, crashes=1, last=crashed),
        "backing off": run(attempt=1, crashes=2, delay=8.0, due_in=5.0, last=crashed),
        "used up": run(attempt=1, crashes=9, last=crashed),
        "disrupted for ever": run(attempt=1, disruptions=21, last=ended_attempt(1, "evicted")),
        "waiting": run(RunState.WAITING, 1),
        "claimed": claimed(claimed_for=5),
        "claimed long ago": claimed(claimed_for=100_000),
        "begun": begun(),
        "silent": begun(silent="its heartbeat rests"),
    }


def _asked(given: Run, *, cancel: bool, late: bool) -> Run:
    limits = Limits(LIMITS.backoff_limit, 60.0 if late else None, suspend=LIMITS.suspend, cancel=cancel)
    return replace(given, limits=limits, deadline_in=-100.0 if late else None)


def _runs() -> Iterator[tuple[str, Run | None]]:
    yield "none", None
    for state in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED):
        yield str(state), run(state, 1, finished=ago(5), result="1", error='{"type": "a:B", "message": "m"}')
    for (name, given), cancel, late in product(_held().items(), (False, True), (False, True)):
        words = [name, *(["to be cancelled"] if cancel else []), *(["late"] if late else [])]
        yield ", ".join(words), _asked(given, cancel=cancel, late=late)
    for name, (word, left, told) in product(("crashed", "claimed", "begun"), CLEANUPS):
        asked = _asked(_held()[name], cancel=True, late=True)
        yield f"{name}, late, {word}", replace(asked, cleanup_left=left, cleans_up=told)


RUNS: Mapping[str, Run | None] = dict(_runs())


def _on_the_way() -> Mapping[str, Pod]:
    waiting = pod(phase=PodPhase.PENDING, stage=Stage.TAKEN)
    return {
        "unbound": pod(phase=PodPhase.PENDING, stage=Stage.UNBOUND, node=None),
        "bound": pod(phase=PodPhase.PENDING, stage=Stage.BOUND),
        "unschedulable": replace(waiting, stage=Stage.UNBOUND, waiting=("Unschedulable", "no node"), node=None),
        "no image": replace(waiting, waiting=("ImagePullBackOff", "not found")),
        "no secret": replace(waiting, waiting=("CreateContainerConfigError", "no secret")),
        "initialising": replace(waiting, waiting=("PodInitializing", "")),
        "running": pod(),
        "unknown": pod(phase=PodPhase.UNKNOWN),
    }


def _pods() -> Iterator[tuple[str, Sequence[Pod]]]:
    yield "none", []
    for name, given in _on_the_way().items():
        yield name, [given]
        yield f"{name}, being deleted", [replace(given, deleting=True)]
        yield f"{name}, disrupted", [replace(given, disrupted="DeletionByTaintManager: its node is not ready")]
    ended = over(1)
    yield "running, its container ended", [replace(pod(), end=ended.end)]
    for code in (0, 1, 64, 69, 75, 76, 77, 78, 79, 137, 143):
        yield f"over with {code}", [over(1, code)]
    yield "over, being deleted", [replace(ended, deleting=True)]
    yield "failed, its container unknown", [pod(phase=PodPhase.FAILED, disrupted="Evicted: low on memory")]
    yield "succeeded, its container unknown", [pod(phase=PodPhase.SUCCEEDED)]
    yield "of another claim", [pod(claim=token(1, other=1))]
    yield "without a claim", [pod(claim=None)]
    yield "of a later attempt", [pod(2, phase=PodPhase.PENDING)]
    yield "of two attempts", [pod(0), pod(1)]
    former = [replace(ended, attempt=0, uid=f"u-{number}", claim=token(1, other=number)) for number in range(2, 6)]
    yield "over, of many attempts", [*former, ended]


PODS: Mapping[str, Sequence[Pod]] = dict(_pods())

SWITCHES: Mapping[str, Workflow] = {
    ", ".join(word for word, on in zip(("suspend", "cancel", "deleting", "invalid"), given, strict=True) if on)
    or "none": workflow(
        spec=None if given[3] else spec(suspend=given[0], cancel=given[1]),
        problem="no entrypoint" if given[3] else None,
        deleting=given[2],
    )
    for given in product((False, True), repeat=4)
    if not given[3] or not (given[0] or given[1])  # of a spec that cannot be taken no switch is read
}


def _condition(state: str, reason: str) -> Condition:
    return Condition("Finished", state, reason, "so it is", ago(5), 1)


STATUSES: Mapping[str, Status] = {
    "none": Status(),
    "started": started(),
    "started elsewhere": started(store_id=OTHER_STORE),
    "ahead of the store": started(attempts=5, steps_completed=9),
    "running": started(attempts=1, pod_name="p", conditions={"Finished": _condition("False", "Running")}),
    "finished": started(completion_time=ago(5), conditions={"Finished": _condition("True", "Succeeded")}),
}

SITUATIONS: Mapping[str, Mapping[str, object]] = {
    "plain": {},
    "the pod is gone": {"pod_gone": True},
    "the pod was seen and is gone": {"pod_gone": True, "pod_met": True},
    "at capacity": {"capacity": "50 of 50 runs are active"},
    "left alone": {"left_alone": "9 of 10 attempts fell silent at once"},
    "refused": {"refused": "Invalid value", "refused_for": 5.0, "refused_generation": 1},
    "refused long ago": {"refused": "Invalid value", "refused_for": 5000.0, "refused_generation": 1},
    "over its quota": {"refused": "exceeded quota: small", "refused_for": 5.0},
    "in a namespace that goes": {"refused": "is being terminated", "refused_for": 5.0},
    "the run is another operator's": {"other_owner": "cluster:one/blue"},
    "in the operator's namespace": {"policy": Policy(barred_namespace="shop")},
}


def of_one_run(name: str) -> Iterator[tuple[str, Observed]]:
    """A run with every pod, every switch and every status."""
    for (pods, there), (switch, given), (status, told) in product(PODS.items(), SWITCHES.items(), STATUSES.items()):
        seen = Observed(replace(given, status=told), RUNS[name], there, STORE, NOW)
        yield f"run {name}; pod {pods}; asked: {switch}; status {status}", seen


def in_situations(name: str) -> Iterator[tuple[str, Observed]]:
    """A run with every pod that tells something else by it, in every situation, with and without a word to restart."""
    pods = {key: PODS[key] for key in ("none", "running", "over with 137", "of another claim", "of a later attempt")}
    switches = {key: SWITCHES[key] for key in ("none", "suspend", "cancel", "deleting", "invalid")}
    for (key, there), (switch, given), (status, told), (situation, more), restart in product(
        pods.items(), switches.items(), STATUSES.items(), SITUATIONS.items(), (None, "again")
    ):
        if (more.get("pod_gone") and there) or (situation == "plain" and restart is None):
            continue
        seen = Observed(replace(given, status=told, restart=restart), RUNS[name], there, STORE, NOW)
        seen = replace(seen, **more)  # type: ignore[arg-type] # each by its name in SITUATIONS
        yield f"run {name}; pod {key}; asked: {switch}; status {status}; {situation}; restart {restart}", seen
