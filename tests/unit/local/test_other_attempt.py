"""The attempt of another command: a real process that works, falls silent or dies, and a claimer before it began."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from perdure.local.other_attempt import Dead, OtherAttempt, Unbegun, Works
from perdure.names import Claim
from perdure.process.identity import host_identity, process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import Standing
from perdure.store.runs.model import RunState
from perdure.store.workers.processes import Watched
from tests.harness.eventually import eventually

CLAIM = Claim(uuid4())
LEASE = 0.2


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


def watched(child: subprocess.Popen[bytes], counter: int = 1) -> Watched:
    return Watched(UUID(int=7), host_identity(), child.pid, process_started(child.pid) or 0, counter)


def identity(child: subprocess.Popen[bytes]) -> ProcessIdentity:
    return ProcessIdentity(UUID(int=7), host_identity(), child.pid, process_started(child.pid) or 0)


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def test_a_process_that_lives_works_and_one_that_was_killed_is_dead_at_once(child: subprocess.Popen[bytes]) -> None:
    process = watched(child)
    other = OtherAttempt(lease=60)
    assert other.look(standing(process), CLAIM, time.monotonic()) == Works(process)
    end(child)
    seen = other.look(standing(process), CLAIM, time.monotonic())
    assert isinstance(seen, Dead)
    assert (seen.process, seen.death.ending) == (process, "crashed")
    assert f"pid {child.pid}" in seen.death.detail


def test_a_process_whose_counter_stands_still_for_the_lease_is_dead(child: subprocess.Popen[bytes]) -> None:
    other = OtherAttempt(LEASE)

    def look(counter: int) -> Works | Dead | Unbegun:
        return other.look(standing(watched(child, counter)), CLAIM, time.monotonic())

    ends = time.monotonic() + 3 * LEASE
    for counter in range(1000):
        assert isinstance(look(counter), Works)
        if time.monotonic() > ends:
            break
        time.sleep(LEASE / 20)
    dead = eventually(lambda: isinstance(seen := look(-1), Dead) and seen)
    assert isinstance(dead, Dead)
    assert dead.death.ending == "lost"


def test_a_store_that_did_not_respond_begins_the_lease_anew(child: subprocess.Popen[bytes]) -> None:
    other = OtherAttempt(LEASE)
    process = watched(child)
    began = time.monotonic()
    while time.monotonic() < began + 3 * LEASE:
        assert isinstance(other.look(standing(process), CLAIM, time.monotonic()), Works)
        assert other.look(standing(), CLAIM, time.monotonic()) is Unbegun.AWAITED
        other.failed()
        time.sleep(LEASE / 20)


def test_a_claimer_that_died_before_the_attempt_began_is_seen_at_once(child: subprocess.Popen[bytes]) -> None:
    claimer = identity(child)
    other = OtherAttempt(lease=60)
    assert other.look(standing(claimer=claimer), CLAIM, time.monotonic()) is Unbegun.AWAITED
    end(child)
    assert other.look(standing(claimer=claimer), CLAIM, time.monotonic()) is Unbegun.CLAIMER_GONE


def test_an_attempt_that_does_not_begin_within_the_lease_never_began() -> None:
    other = OtherAttempt(LEASE)
    began = time.monotonic()
    elsewhere = ProcessIdentity(UUID(int=7), "another-host", 1, 1)

    def look(claim: Claim = CLAIM) -> Works | Dead | Unbegun:
        return other.look(replace(standing(claimer=elsewhere), claim=claim), claim, time.monotonic())

    assert look() is Unbegun.AWAITED
    eventually(lambda: look() is Unbegun.NEVER_BEGAN)
    assert time.monotonic() - began >= LEASE
    assert look(Claim(uuid4())) is Unbegun.AWAITED  # the next attempt has a lease of its own
