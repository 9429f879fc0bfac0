"""The child of a supervisor: it waits for the gate, has a session of its own, and leaves with Python's exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from perdure.pod.child import Gate, run_child
from perdure.pod.signals import hold_signals


def child_of(child: Callable[[Any], int], *, opened: bool = True, before: Callable[[], None] | None = None) -> int:
    """The exit code of a forked child; negative where a signal ended it."""
    parent, gate = os.getpid(), Gate()
    pid = os.fork()
    if pid == 0:
        try:
            if before is not None:
                before()
            run_child(child, lambda: None, parent, gate)  # type: ignore[arg-type, return-value]
        finally:
            os._exit(99)
    if opened:
        gate.open()
    else:
        os.close(gate._reading)
        os.close(gate._writing)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def leaves(code: object) -> Callable[[Any], NoReturn]:
    def child(_: object) -> NoReturn:
        sys.exit(code)  # type: ignore[arg-type]

    return child


def killed(_: object) -> int:
    os.kill(os.getpid(), signal.SIGTERM)
    return 0


def fails(_: object) -> int:
    raise ValueError("broken")


@pytest.mark.parametrize(
    ("child", "code"),
    [(lambda _: 0, 0), (lambda _: 7, 7), (leaves(3), 3), (leaves(None), 0), (leaves("text"), 1), (fails, 1)],
)
def test_it_leaves_with_pythons_exit_code(child: Callable[[Any], int], code: int) -> None:
    assert child_of(child) == code


def test_an_error_is_shown_and_a_text_of_exit_too(capfd: pytest.CaptureFixture[str]) -> None:
    child_of(fails)
    child_of(leaves("what sys.exit says"))
    said = capfd.readouterr().err
    assert "ValueError: broken" in said
    assert "what sys.exit says\n" in said


def test_what_was_printed_is_written_at_the_end(capfd: pytest.CaptureFixture[str]) -> None:
    def child(_: object) -> int:
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        print("printed", end="")
        return 0

    child_of(child)
    assert capfd.readouterr().out == "printed"


def test_it_has_a_session_of_its_own_and_nothing_on_its_input() -> None:
    def child(_: object) -> int:
        return 0 if os.getsid(0) == os.getpid() and os.read(0, 1) == b"" else 1

    assert child_of(child) == 0


def test_its_signals_are_pythons_again_and_none_is_held() -> None:
    def child(_: object) -> int:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        default = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        return 0 if default and not held & {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD} else 1

    assert child_of(child, before=hold_signals) == 0
    assert child_of(killed, before=hold_signals) == -signal.SIGTERM


def test_without_its_supervisor_nothing_of_the_user_runs() -> None:
    ran = os.memfd_create("ran")

    def child(_: object) -> int:
        os.write(ran, b"x")
        return 0

    assert child_of(child, opened=False) == 1
    assert os.fstat(ran).st_size == 0
    os.close(ran)
