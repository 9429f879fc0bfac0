"""Derives the end of an attempt from its pod, if its process has not stored one."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Final

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim
from perdure.process.exit_codes import ExitCode

from .actions import ReleaseRun
from .observed import ContainerEnd, Observed, Pod, Run

__all__ = [
    "disruption",
    "ending_of_pod",
    "ending_of_silence",
    "lost_forged_steps",
]

_OUT_OF_MEMORY: Final = "OOMKilled"
_NODE: Final = "node"
_LOST: Final = ("lost", "gone", "unreachable", "not ready", "notready", "no longer exists")


def ending_of_pod(pod: Pod, claim: Claim, *, begun: bool) -> ReleaseRun:
    """The end of an attempt whose container `workflow` is over."""
    end = pod.end
    code = None if end is None else end.exit_code
    number = None if code is None or not 128 < code < 160 else code - 128

    def released(ending: AttemptEnd, detail: str) -> ReleaseRun:
        return ReleaseRun(claim, ending, detail, code=None if number else code, signal=number)

    if end is not None and end.reason == _OUT_OF_MEMORY:
        detail = "its container was killed: out of memory (OOMKilled); give it more in podTemplate"
        return ReleaseRun(claim, AttemptEnd.CRASHED if begun else AttemptEnd.NEVER_BEGUN, detail, signal=number)
    if code == ExitCode.SECOND_START and begun:
        # The kubelet reports this code. It starts a container `workflow` only once, so the process that has begun the
        # attempt is not this pod's.
        return released(
            AttemptEnd.BEGUN_ELSEWHERE, "another process had begun the attempt before its pod's process started"
        )
    if pod.disrupted is not None:
        return released(disruption(pod.disrupted), pod.disrupted)
    if code == ExitCode.RELEASED:
        return released(AttemptEnd.RELEASED, _words(end) or "its process was told to stop")
    if pod.deleting:
        return released(AttemptEnd.EVICTED, "its pod was deleted")
    if code == ExitCode.NOT_STARTED or (code == ExitCode.SUPERSEDED and not begun):
        return released(AttemptEnd.STORE_UNREACHABLE, _without_store(code, end))
    if not begun:
        return released(AttemptEnd.NEVER_BEGUN, _without_begin(end))
    if end is None:
        return released(AttemptEnd.LOST, f"its pod is {pod.phase}, and the end of its container is unknown")
    return released(AttemptEnd.CRASHED, _crash(end, number))


def ending_of_silence(observed: Observed, run: Run, claim: Claim, pod: Pod | None) -> ReleaseRun:
    """The end of an attempt that has begun and whose process is dead, while no end of its container is known."""
    why = run.silent or "its process is silent"
    if pod is None:
        gone = "its pod was deleted" if observed.pod_gone else "its pod is out of sight"
        return ReleaseRun(claim, AttemptEnd.EVICTED, f"{gone}; {why}")
    if pod.disrupted is not None:
        return ReleaseRun(claim, disruption(pod.disrupted), f"{pod.disrupted}; {why}")
    if pod.deleting:
        return ReleaseRun(claim, AttemptEnd.EVICTED, f"its pod was deleted; {why}")
    if pod.node is None:
        return ReleaseRun(claim, AttemptEnd.LOST, why)
    return ReleaseRun(
        claim, AttemptEnd.NODE_LOST, f"{why}; no sign of the process or its end has come from node {pod.node}"
    )


def lost_forged_steps(run: Run) -> bool:
    """Whether the store has deleted steps that another process had forged. A status may have counted them."""
    return run.last is not None and run.last.ending == AttemptEnd.BEGUN_ELSEWHERE


def disruption(why: str) -> AttemptEnd:
    """The end of an attempt whose pod was disrupted."""
    lowered = why.lower()
    lost = _NODE in lowered and any(word in lowered for word in _LOST)
    return AttemptEnd.NODE_LOST if lost else AttemptEnd.EVICTED


def _without_begin(end: ContainerEnd | None) -> str:
    if end is None:
        return "its pod ended before the attempt began"
    words = _words(end)
    match end.exit_code:
        case ExitCode.USAGE:
            said = words or f"its process could not start (exit code {end.exit_code}); its log says why"
        case _:
            said = f"its container ended with exit code {end.exit_code}, {end.reason}, before the attempt began"
            said += f": {words}" if words else ""
    return said


def _without_store(code: int, end: ContainerEnd | None) -> str:
    if code == ExitCode.SUPERSEDED:
        return "its process found no such attempt in its database: is it the operator's?"
    return _words(end) or f"its process could not reach the store (exit code {code}); its log says why"


def _crash(end: ContainerEnd, number: int | None) -> str:
    words = _words(end)
    if number is None:
        said = f"its container exited with code {end.exit_code} and left no outcome"
    else:
        name = f"signal {number}"
        with suppress(ValueError):
            name = signal.Signals(number).name
        said = f"its container was killed by {name}"
    return f"{said}: {words}" if words else said


def _words(end: ContainerEnd | None) -> str:
    return "" if end is None else " ".join(end.message.split())[-1000:]
