"""A step that takes more memory than there is: an error where Python learns of it, a crash where the kernel kills."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.harness.eventually import eventually
from tests.harness.unavailable import unavailable
from tests.integration.store.rows import Attempt

from .conftest import BadAttempts


@pytest.fixture
def small_group(attempts: BadAttempts) -> Iterator[Path]:
    """A control group of 64 MB, without swap."""
    root = Path("/sys/fs/cgroup/memory")
    if not os.access(root / "cgroup.procs", os.W_OK):
        unavailable("a memory control group (cgroup v1) that this user may divide")
    group = root / f"perdure-tests-{os.getpid()}"
    group.mkdir()
    try:
        (group / "memory.limit_in_bytes").write_text(str(64 << 20))
        with suppress(OSError):  # only where swap is accounted for
            (group / "memory.memsw.limit_in_bytes").write_text(str(64 << 20))
        yield group
    finally:
        for pid in (group / "cgroup.procs").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        eventually(lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def _in_group(attempts: BadAttempts, group: Path, attempt: Attempt) -> int:
    """Run an attempt whose step takes memory once its processes are in the group."""
    process = attempts.exec(attempt)
    attempts.wait_for("hog 1")
    for pid in [process.pid, *process.descendants()]:
        (group / "cgroup.procs").write_text(str(pid))
    attempts.let_go()
    return process.wait(40)


def test_a_kill_for_want_of_memory_is_a_crash_that_is_reported(attempts: BadAttempts, small_group: Path) -> None:
    attempt = attempts.claim("hungry", '{"megabytes": 400}')

    assert _in_group(attempts, small_group, attempt) == 79
    ended = attempts.attempt(attempt.run, 1)
    assert (ended["ending"], ended["signal"]) == ("crashed", signal.SIGKILL)
    assert attempts.store.run(attempt.run)["state"] == "pending"

    assert attempts.exec(attempts.claim_again(attempt.run)).wait(20) == 0
    assert attempts.store.run(attempt.run)["result"] == ["before", 0, "after"]
    assert attempts.log() == ["note before", "hog 1", "hog 2", "note after"]


def test_memory_that_python_is_denied_is_an_error_of_the_step(attempts: BadAttempts) -> None:
    attempt = attempts.claim("limited")

    assert attempts.exec(attempt).wait(20) == 0
    assert attempts.store.run(attempt.run)["result"] == ["too much", "after"]
    assert list(attempts.steps(attempt.run)) == ["note", "limited_hog", "note#2"]
