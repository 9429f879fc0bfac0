"""The attempt of another command as a pod: alive, dead, about to begin, or this command's to start."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from uuid import uuid4

import pytest

from perdure.process.identity import host_identity, process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import Standing
from perdure.store.runs.model import RunState
from perdure.store.workers.processes import Watched
from perdure_operator.decide.observed import PodPhase
from perdure_operator.local.other_process import OtherProcess
from tests.harness.eventually import eventually
from tests.unit.operator.decide.builders import NOW, claimed, token

CLAIM = token(1)
RUN = claimed()


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def standing(process: Watched | None = None, claimer: ProcessIdentity | None = None) -> Standing:
    return Standing(
        RunState.RUNNING, attempt=1, claim=CLAIM, begun=process is not None, cancel=False, suspend=False, crashes=0,
        due_in=0.0, delay=0.0, process=process, claimer=claimer,
    )  # fmt: skip


def watched(child: subprocess.Popen[bytes]) -> Watched:
    started = process_started(child.pid)
    assert started is not None
    return Watched(uuid4(), host_identity(), child.pid, started, 1)


def other(lease: float = 60.0) -> OtherProcess:
    return OtherProcess(lease, lambda: NOW)


def test_one_that_works_is_a_pod_of_its_claim(child: subprocess.Popen[bytes]) -> None:
    one, found = other(), standing(watched(child))
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run == replace(RUN, begun=True)
    assert pod is not None
    assert (pod.name, pod.claim, pod.phase) == ("pod-1", CLAIM, PodPhase.UNKNOWN)
    assert (one.process, one.standing) == (found.process, found)


def test_one_that_is_gone_is_silent(child: subprocess.Popen[bytes]) -> None:
    one, found = other(), standing(watched(child))
    child.kill()
    child.wait()
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run.begun
    assert run.silent
    assert pod is not None


def test_one_that_is_about_to_begin_is_awaited_for_a_lease() -> None:
    assert other().look(RUN, CLAIM, "pod-1", standing)[1] is not None
    impatient = other(0.0)
    assert impatient.look(RUN, CLAIM, "pod-1", standing)[1] is None


def test_one_whose_claimer_is_gone_is_ours_to_start(child: subprocess.Popen[bytes]) -> None:
    seen = watched(child)
    child.kill()
    child.wait()
    assert seen.pid is not None
    claimer = ProcessIdentity(seen.id, seen.host, seen.pid, seen.pid_started)
    assert other().look(RUN, CLAIM, "pod-1", lambda: standing(claimer=claimer)) == (RUN, None)


@pytest.mark.parametrize("found", [None, replace(standing(), claim=token(2))])
def test_a_run_that_has_changed_meanwhile_is_looked_at_again(found: Standing | None) -> None:
    one = other()
    run, pod = one.look(RUN, CLAIM, "pod-1", lambda: found)
    assert run == RUN
    assert pod is not None
    assert one.process is None


def test_the_process_of_another_command_is_asked_to_stop(child: subprocess.Popen[bytes]) -> None:
    one = other()
    one.stop()  # of which there is none yet
    one.look(RUN, CLAIM, "pod-1", lambda: standing(watched(child)))
    one.stop()
    eventually(lambda: child.poll() == -signal.SIGTERM)


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"pid_started": 1}, {"pid": None}])
def test_no_other_process_is(child: subprocess.Popen[bytes], change: dict[str, object]) -> None:
    one = other()
    one.process = replace(watched(child), **change)  # type: ignore[arg-type]
    one.stop()
    assert child.poll() is None
    one.failed()
