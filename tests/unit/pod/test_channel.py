"""What one side of the channel says, the other sees; nothing blocks and nothing is lost."""

from __future__ import annotations

import os
import select
from uuid import UUID

import pytest

from perdure.names import Token
from perdure.pod import ChildChannel, Progress, Request
from perdure.pod.channel import Channel, SupervisorChannel, WakePipe

TOKEN = Token(UUID("5e0f2a4c-0000-4000-8000-00000000beef"))


class Both:
    """Both sides in one process, with all ends left open."""

    def __init__(self) -> None:
        self.wake = WakePipe()
        channel = Channel(self.wake)
        self.child = ChildChannel(channel._page, self.wake, channel._to_child)
        self.supervisor = SupervisorChannel(channel._page, channel._to_child)


@pytest.fixture
def both() -> Both:
    return Both()


def _readable(thing: WakePipe | ChildChannel) -> bool:
    return bool(select.select([thing.fileno()], [], [], 0)[0])


def test_nothing_is_said_at_first(both: Both):
    supervisor = both.supervisor
    assert (supervisor.begun, supervisor.finishing, supervisor.ended) == (False, False, None)
    assert supervisor.token is None
    assert supervisor.progress() == Progress(0, None)
    assert both.child.requests == Request.NONE
    assert not _readable(both.wake)
    assert not _readable(both.child)


def test_begun_and_ended_wake_the_supervisor_and_progress_does_not(both: Both):
    both.child.progress(3, "charge")
    both.child.finishing()
    assert not _readable(both.wake)
    both.child.begun(TOKEN)
    assert both.supervisor.token == TOKEN
    assert _readable(both.wake)
    both.wake.clear()
    both.child.ended(0)
    assert _readable(both.wake)
    assert (both.supervisor.begun, both.supervisor.finishing, both.supervisor.ended) == (True, True, 0)


@pytest.mark.parametrize("code", [0, 1, 79, 254])
def test_an_exit_code_comes_over(both: Both, code: int):
    both.child.ended(code)
    assert both.supervisor.ended == code


@pytest.mark.parametrize("code", [-1, 255, 1000])
def test_what_is_no_exit_code_is_refused(both: Both, code: int):
    with pytest.raises(ValueError, match="no exit code"):
        both.child.ended(code)


@pytest.mark.parametrize("step", [None, "", "charge", "3/größe#2", "lone \udcff surrogate", "x" * 5000, "ß" * 700])
def test_progress_comes_over(both: Both, step: str | None):
    both.child.progress(2**40, step)
    seen = both.supervisor.progress()
    assert seen.steps_done == 2**40
    if step is None:
        assert seen.current_step is None
    else:
        shown = step.encode(errors="replace").decode()
        assert seen.current_step is not None
        assert shown.startswith(seen.current_step)
        assert len(seen.current_step) >= min(len(shown), 512)


def test_progress_whose_writer_died_in_the_middle_of_it_is_not_believed(both: Both):
    both.child.progress(1, "charge")
    assert both.supervisor.progress() == Progress(1, "charge")
    page = both.supervisor._page
    page._memory[page._PROGRESS + 4] = 77
    assert both.supervisor.progress() == Progress(1, "charge")


def test_a_request_wakes_the_child_once_and_stays(both: Both):
    both.supervisor.request(Request.CANCEL)
    assert _readable(both.child)
    assert both.child.wait(0) == Request.CANCEL
    assert not _readable(both.child)
    both.supervisor.request(Request.CANCEL)
    assert not _readable(both.child)
    both.supervisor.request(Request.DRAIN)
    assert both.child.wait(0) == both.child.requests == Request.CANCEL | Request.DRAIN


def test_requests_are_seen_without_waiting_for_the_pipe(both: Both):
    both.supervisor.request(Request.SUSPEND)
    assert both.child.requests == Request.SUSPEND


def test_a_full_pipe_blocks_nobody(both: Both):
    for _ in range(100_000):
        both.child.begun(TOKEN)
    both.wake.clear()
    assert not _readable(both.wake)


def test_in_a_forked_process_the_child_s_side_says_and_hears_nothing(both: Both, monkeypatch: pytest.MonkeyPatch):
    both.supervisor.request(Request.CANCEL)
    monkeypatch.setattr(os, "getpid", lambda: 1)
    both.child.begun(TOKEN)
    both.child.progress(1, "charge")
    both.child.finishing()
    both.child.ended(0)
    assert both.child.requests == Request.NONE
    assert both.child.wait(0) == Request.NONE
    both.child.clear()
    assert _readable(both.child)
    supervisor = both.supervisor
    assert (supervisor.begun, supervisor.finishing, supervisor.ended) == (False, False, None)
    assert supervisor.token is None
    assert supervisor.progress() == Progress(0, None)
