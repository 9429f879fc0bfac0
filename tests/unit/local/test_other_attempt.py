"""The attempt of another command: a real process that works, falls silent or dies, and a claimer before it began."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from perdure.local.other_attempt import Dead, OtherAttempt, Unbegun, Works
from perdure.names import Claim
from perdure.process.identity import host_identity, process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from tests.harness.eventually import eventually
from tests.unit.local.other_attempts import standing, waiting_child, watched

CLAIM = Claim(uuid4())
LEASE = 0.2


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with waiting_child() as process:
        yield process


def identity(child: subprocess.Popen[bytes]) -> ProcessIdentity:
    return ProcessIdentity(UUID(int=7), host_identity(), child.pid, process_started(child.pid) or 0)


def end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def test_a_process_that_lives_works_and_one_that_was_killed_is_dead_at_once(child: subprocess.Popen[bytes]) -> None:
    process = watched(child)
    other = OtherAttempt(lease=60)
    assert other.look(standing(CLAIM, process), CLAIM, time.monotonic()) == Works(process)
    end(child)
    seen = other.look(standing(CLAIM, process), CLAIM, time.monotonic())
    assert isinstance(seen, Dead)
    assert (seen.process, seen.death.ending) == (process, "crashed")
    assert f"pid {child.pid}" in seen.death.detail


def test_a_process_whose_counter_stands_still_for_the_lease_is_dead(child: subprocess.Popen[bytes]) -> None:
    other = OtherAttempt(LEASE)

    def look(counter: int) -> Works | Dead | Unbegun:
        return other.look(standing(CLAIM, replace(watched(child), counter=counter)), CLAIM, time.monotonic())

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
        assert isinstance(other.look(standing(CLAIM, process), CLAIM, time.monotonic()), Works)
        assert other.look(standing(CLAIM), CLAIM, time.monotonic()) is Unbegun.AWAITED
        other.failed()
        time.sleep(LEASE / 20)


def test_a_claimer_that_died_before_the_attempt_began_is_seen_at_once(child: subprocess.Popen[bytes]) -> None:
    claimer = identity(child)
    other = OtherAttempt(lease=60)
    assert other.look(standing(CLAIM, claimer=claimer), CLAIM, time.monotonic()) is Unbegun.AWAITED
    end(child)
    assert other.look(standing(CLAIM, claimer=claimer), CLAIM, time.monotonic()) is Unbegun.CLAIMER_GONE


def test_an_attempt_that_does_not_begin_within_the_lease_never_began() -> None:
    other = OtherAttempt(LEASE)
    began = time.monotonic()
    elsewhere = ProcessIdentity(UUID(int=7), "another-host", 1, 1)

    def look(claim: Claim = CLAIM) -> Works | Dead | Unbegun:
        return other.look(replace(standing(CLAIM, claimer=elsewhere), claim=claim), claim, time.monotonic())

    assert look() is Unbegun.AWAITED
    eventually(lambda: look() is Unbegun.NEVER_BEGAN)
    assert time.monotonic() - began >= LEASE
    assert look(Claim(uuid4())) is Unbegun.AWAITED  # the next attempt has a lease of its own
