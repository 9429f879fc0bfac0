"""Parses a pod of the API server into `observed.Pod`. Total: missing or malformed fields count as absent."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from sys import intern
from typing import Any, Final
from uuid import UUID

from perdure.names import Claim

from ..decide.observed import ContainerEnd, Pod, PodPhase, Stage
from ..truncate import cut
from .names import CONTAINER, GENERATION_ANNOTATION, LABEL_ATTEMPT
from .status_document import read_time
from .untyped import items, mapping, text

__all__ = ["parse_pod"]

_INITIALISING: Final = "PodInitializing"
_ON_THE_WAY: Final = frozenset({"", "ContainerCreating", _INITIALISING})
"""Normal reasons of a waiting container."""

_NEARER: Final = frozenset({"PodScheduled", "PodReadyToStartContainers", "Initialized"})
"""Conditions that become true while a pod starts."""

_DISRUPTED: Final = frozenset(
    {
        "Evicted",
        "NodeAffinity",
        "NodeLost",
        "NodeShutdown",
        "OutOfcpu",
        "OutOfephemeral-storage",
        "OutOfmemory",
        "OutOfpods",
        "Preempting",
        "Shutdown",
        "Terminated",
        "TopologyAffinityError",
        "UnexpectedAdmissionError",
    }
)
"""Reasons of a pod's status if the kubelet, the node or the control plane has ended or rejected the pod."""

_ADVICE: Final = {
    "runAsNonRoot": "let the image have a numeric user other than root, or name one in podTemplate:"
    " spec.securityContext.runAsUser",
}
"""Remedies for messages of the kubelet that only name the problem."""

_LONGEST: Final = 2048
"""Most bytes of a message from Kubernetes."""


def parse_pod(body: Mapping[str, Any]) -> Pod:
    """Parse a pod of a Workflow's attempt; `attempt` is 0 if its label was removed.

    `waiting` and `disrupted` begin with Kubernetes' reason (`disrupted`: "Evicted: The node was low on ..."). If an
    init container failed, so that `workflow` never started, `end` is the init container's. Other containers of the pod
    have no effect: a run's end does not wait for them.
    """
    metadata, spec, status = (mapping(body.get(part)) for part in ("metadata", "spec", "status"))
    phase = _phase(status.get("phase"))
    container = _named(status.get("containerStatuses"), CONTAINER)
    end, finished = _end(container, status)
    return Pod(
        name=str(metadata.get("name", "")),
        uid=str(metadata.get("uid", "")),
        attempt=_number(mapping(metadata.get("labels")).get(LABEL_ATTEMPT)) or 0,
        claim=_claim(spec),
        phase=phase,
        created=read_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        node=text(spec.get("nodeName")),
        deleting=metadata.get("deletionTimestamp") is not None,
        waiting=_waiting(container, status) if phase in (PodPhase.PENDING, PodPhase.RUNNING) else None,
        end=end,
        disrupted=_disrupted(status),
        finished_at=finished or (_last_change(status) if phase in (PodPhase.SUCCEEDED, PodPhase.FAILED) else None),
        stage=_stage(container, spec, status),
        unready=_conditions(status).get("PodReadyToStartContainers", {}).get("status") == "False",
        progressed=_progressed(container, status),
        image_id=intern(text(container.get("imageID")) or "") or None,  # thousands of pods may run one
        generation=_number(mapping(metadata.get("annotations")).get(GENERATION_ANNOTATION)),
    )


def _waiting(container: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why `workflow` has not started: its own reason, that of the init container before it, or the scheduler's.

    `PodInitializing` only while init containers run; the kubelet reports it also while it pulls the image after that.
    """
    state = mapping(container.get("state"))
    if "running" in state or "terminated" in state:
        return None
    for one in (container, *items(status.get("initContainerStatuses"))):
        waits = mapping(mapping(one.get("state")).get("waiting"))
        reason = text(waits.get("reason")) or ""
        if reason not in _ON_THE_WAY:
            return reason, _advised(text(waits.get("message")) or "")
    conditions = _conditions(status)
    scheduled, initialised = conditions.get("PodScheduled", {}), conditions.get("Initialized", {})
    if scheduled.get("status") == "False":
        return text(scheduled.get("reason")) or "Unschedulable", cut(text(scheduled.get("message")) or "", _LONGEST)
    if initialised.get("status") == "False" and mapping(state.get("waiting")).get("reason") == _INITIALISING:
        return _INITIALISING, cut(text(initialised.get("message")) or "", _LONGEST)
    return None


def _end(container: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[ContainerEnd | None, datetime | None]:
    terminated = _terminated(container)
    if terminated:
        return _container_end(terminated, ""), read_time(terminated.get("finishedAt"))
    if _phase(status.get("phase")) is PodPhase.FAILED:
        for one in items(status.get("initContainerStatuses")):
            ended = _terminated(one)
            if ended and ended.get("exitCode") != 0:
                return _container_end(ended, f"init container {one.get('name')!r}: "), read_time(
                    ended.get("finishedAt")
                )
    return None, None


def _container_end(terminated: Mapping[str, Any], prefix: str) -> ContainerEnd:
    code = terminated.get("exitCode")
    message = (text(terminated.get("message")) or "").strip()
    return ContainerEnd(
        exit_code=code if isinstance(code, int) else -1,
        reason=text(terminated.get("reason")) or "",
        message=cut(prefix + message if message else prefix.removesuffix(": "), _LONGEST),
    )


def _disrupted(status: Mapping[str, Any]) -> str | None:
    target = _conditions(status).get("DisruptionTarget", {})
    if target.get("status") == "True":
        return _reason(target)
    return _reason(status) if text(status.get("reason")) in _DISRUPTED else None


def _reason(said: Mapping[str, Any]) -> str:
    reason, message = text(said.get("reason")) or "DisruptionTarget", text(said.get("message"))
    return cut(f"{reason}: {message}" if message else reason, _LONGEST)


def _claim(spec: Mapping[str, Any]) -> Claim | None:
    container = _named(spec.get("containers"), CONTAINER)
    value = _named(container.get("env"), "PERDURE_CLAIM").get("value")
    try:
        return Claim(UUID(value))
    except (AttributeError, TypeError, ValueError):
        return None


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19 else None


def _phase(value: Any) -> PodPhase:
    try:
        return PodPhase(value)
    except ValueError:
        # A pod that was just created has no status yet.
        return PodPhase.UNKNOWN if value else PodPhase.PENDING


def _stage(container: Mapping[str, Any], spec: Mapping[str, Any], status: Mapping[str, Any]) -> Stage:
    state = mapping(container.get("state"))
    if "running" in state or "terminated" in state:
        return Stage.STARTED
    if container or status.get("startTime"):  # the kubelet's first report, before it begins
        return Stage.TAKEN
    return Stage.BOUND if spec.get("nodeName") else Stage.UNBOUND


def _progressed(container: Mapping[str, Any], status: Mapping[str, Any]) -> datetime | None:
    moments = [
        read_time(condition.get("lastTransitionTime"))
        for kind, condition in _conditions(status).items()
        if kind in _NEARER and condition.get("status") == "True"
    ]
    moments.append(read_time(mapping(mapping(container.get("state")).get("running")).get("startedAt")))
    return max((moment for moment in moments if moment), default=None)


def _last_change(status: Mapping[str, Any]) -> datetime | None:
    moments = (read_time(condition.get("lastTransitionTime")) for condition in items(status.get("conditions")))
    return max((moment for moment in moments if moment), default=read_time(status.get("startTime")))


def _conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {str(condition.get("type")): condition for condition in items(status.get("conditions"))}


def _terminated(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(mapping(container.get("state")).get("terminated"))


def _named(value: Any, name: str) -> Mapping[str, Any]:
    return next((item for item in items(value) if item.get("name") == name), {})


def _advised(message: str) -> str:
    return cut("; ".join([message, *(advice for words, advice in _ADVICE.items() if words in message)]), _LONGEST)
