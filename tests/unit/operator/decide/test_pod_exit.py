"""How an attempt ended whose process did not say so: told from its pod, and never blamed on the workflow for others."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.process.exit_codes import ExitCode
from perdure_operator.decide.pod_exit import disruption, ending_of_pod, ending_of_silence
from tests.unit.operator.decide.builders import begun, observed, over, pod, token

CLAIM = token(1)


@pytest.mark.parametrize(
    ("dead", "has_begun", "ending", "detail"),
    [
        (over(code=137, reason="OOMKilled"), True, "crashed", "out of memory"),
        (over(code=137, reason="OOMKilled"), False, "never begun", "out of memory"),
        (over(code=137, reason="OOMKilled", disrupted="node drained"), True, "crashed", "out of memory"),
        (over(code=137, disrupted="preempted by another pod"), True, "evicted", "preempted"),
        (over(code=137, disrupted="its node is gone"), True, "node lost", "node is gone"),
        (over(code=ExitCode.RELEASED), True, "released", "told to stop"),
        (over(code=ExitCode.RELEASED, message="the run is\nsuspended"), True, "released", "the run is suspended"),
        (over(code=ExitCode.RELEASED, deleting=True), True, "released", "told to stop"),
        (over(code=137, deleting=True), True, "evicted", "its pod was deleted"),
        (over(code=ExitCode.NOT_STARTED), False, "store unreachable", "could not reach the store"),
        (over(code=ExitCode.NOT_STARTED), True, "store unreachable", "could not reach the store"),
        (over(code=ExitCode.SUPERSEDED), False, "store unreachable", "no such attempt in its database"),
        (over(code=ExitCode.SUPERSEDED), True, "crashed", "exited with code"),
        (over(code=ExitCode.USAGE), False, "never begun", "its log says why"),
        (over(code=ExitCode.USAGE, message="no DATABASE_URL"), False, "never begun", "no DATABASE_URL"),
        (over(code=1, reason="Error"), False, "never begun", "exit code 1, Error, before the attempt began"),
        (over(code=1), True, "crashed", "exited with code 1 and left no outcome"),
        (over(code=139), True, "crashed", "killed by SIGSEGV"),
        (over(code=128 + 31, message="bad system call"), True, "crashed", "bad system call"),
        (pod(), True, "lost", "the end of its container is unknown"),
        (pod(), False, "never begun", "its pod ended before the attempt began"),
    ],
)
def test_an_end_is_told_from_the_pod(dead: Any, has_begun: bool, ending: str, detail: str) -> None:
    found = ending_of_pod(dead, CLAIM, begun=has_begun)
    assert (found.claim, found.ending) == (CLAIM, ending)
    assert detail in found.detail


@pytest.mark.parametrize(
    ("code", "exit_code", "signal"), [(1, 1, None), (128, 128, None), (137, None, 9), (159, None, 31), (160, 160, None)]
)
def test_an_exit_code_above_128_is_a_signal(code: int, exit_code: int | None, signal: int | None) -> None:
    found = ending_of_pod(over(code=code), CLAIM, begun=True)
    assert (found.code, found.signal) == (exit_code, signal)


def test_only_the_last_of_many_words_is_kept() -> None:
    found = ending_of_pod(over(code=1, message="x" * 5000 + " the cause"), CLAIM, begun=True)
    assert found.detail.endswith(" the cause")
    assert len(found.detail) < 1100


@pytest.mark.parametrize(
    ("left", "ending"),
    [
        (None, "evicted"),
        (pod(disrupted="the node is not ready"), "node lost"),
        (pod(deleting=True), "evicted"),
        (pod(node=None), "lost"),
        (pod(), "node lost"),
    ],
)
def test_a_silent_attempt_ends_as_its_pod_is(left: Any, ending: str) -> None:
    run = begun(silent="no sign of life")
    found = ending_of_silence(observed(run), run, CLAIM, left)
    assert (found.claim, found.ending) == (CLAIM, ending)
    assert "no sign of life" in found.detail


def test_a_pod_that_is_gone_is_told_from_one_that_is_out_of_sight() -> None:
    run = begun(silent="silent")
    assert "was deleted" in ending_of_silence(observed(run, pod_gone=True), run, CLAIM, None).detail
    assert "out of sight" in ending_of_silence(observed(run), run, CLAIM, None).detail


@pytest.mark.parametrize(
    ("why", "ending"),
    [
        ("Node is lost", "node lost"),
        ("DeletionByPodGC: node no longer exists", "node lost"),
        ("the node is NotReady", "node lost"),
        ("preempted for a pod of a higher priority", "evicted"),
        ("The node was low on resource: memory", "evicted"),
        ("connection lost", "evicted"),
    ],
)
def test_a_lost_node_is_told_from_an_eviction(why: str, ending: str) -> None:
    assert disruption(why) == ending
