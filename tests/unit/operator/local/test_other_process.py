"""The attempt of another command as a pod: alive, dead, about to begin, or this command's to start."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import Standing
from perdure_operator.decide.observed import PodPhase
from perdure_operator.local.other_process import OtherProcess
from tests.harness.eventually import eventually
from tests.unit.local.other_attempts import standing, waiting_child, watched
from tests.unit.operator.decide.builders import NOW, claimed, token

CLAIM = token(1)
RUN = claimed()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with waiting_child() as process:
        yield process


def other(lease: float = 60.0) -> OtherProcess:
    return OtherProcess(lease, lambda: NOW)


def test_one_that_works_is_a_pod_of_its_claim(child: subprocess.Popen[bytes]) -> None:
    one, found = other(), standing(CLAIM, watched(child))
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run == replace(RUN, begun=True)
    assert pod is not None
    assert (pod.name, pod.claim, pod.phase) == ("pod-1", CLAIM, PodPhase.UNKNOWN)
    assert (one.process, one.standing) == (found.process, found)


def test_one_that_is_gone_is_silent(child: subprocess.Popen[bytes]) -> None:
    one, found = other(), standing(CLAIM, watched(child))
    child.kill()
    child.wait()
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run.begun
    assert run.silent
    assert pod is not None


def test_one_that_is_about_to_begin_is_awaited_for_a_lease() -> None:
    assert other().look(RUN, CLAIM, "pod-1", lambda: standing(CLAIM))[1] is not None
    impatient = other(0.0)
    assert impatient.look(RUN, CLAIM, "pod-1", lambda: standing(CLAIM))[1] is None


def test_one_whose_claimer_is_gone_is_ours_to_start(child: subprocess.Popen[bytes]) -> None:
    seen = watched(child)
    child.kill()
    child.wait()
    assert seen.pid is not None
    claimer = ProcessIdentity(seen.id, seen.host, seen.pid, seen.pid_started)
    assert other().look(RUN, CLAIM, "pod-1", lambda: standing(CLAIM, claimer=claimer)) == (RUN, None)


@pytest.mark.parametrize("found", [None, replace(standing(CLAIM), claim=token(2))])
def test_a_run_that_has_changed_meanwhile_is_looked_at_again(found: Standing | None) -> None:
    one = other()
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run == RUN
    assert pod is not None
    assert one.process is None


def test_the_process_of_another_command_is_asked_to_stop(child: subprocess.Popen[bytes]) -> None:
    one = other()
    one.stop()  # of which there is none yet
    one.look(RUN, CLAIM, "pod-1", lambda: standing(CLAIM, watched(child)))
    one.stop()
    eventually(lambda: child.poll() == -signal.SIGTERM)


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"pid_started": 1}, {"pid": None}])
def test_no_other_process_is(child: subprocess.Popen[bytes], change: dict[str, object]) -> None:
    one = other()
    one.process = replace(watched(child), **change)  # type: ignore[arg-type]
    one.stop()
    assert child.poll() is None
    one.failed()
