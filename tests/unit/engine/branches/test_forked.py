"""A forked process ends where it would go on with the run: it says why, and leaves what its parent still uses."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEFORE = """
import atexit, os, sys
from perdure.engine.branches.forked import end_fork
atexit.register(lambda: os.write(1, b"closed what the parent uses"))
print("buffered", end="")
"""


def ended(call: str) -> tuple[int, str, str]:
    """The exit code, output and errors of a process that makes this call."""
    # -E: a PYTHONUNBUFFERED in the environment would hide that nothing flushes.
    command = [sys.executable, "-E", "-c", BEFORE + call]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_code_that_has_returned_is_told_why_its_process_ends() -> None:
    code, output, errors = ended("end_fork('step \"charge\"', None)\nprint('goes on')")
    assert (code, output) == (1, "buffered")
    assert errors.startswith('perdure: a forked process has come to the end of step "charge", and ends there')
    assert "os._exit(0)" in errors


def test_an_error_is_printed_as_python_prints_it() -> None:
    code, output, errors = ended("try:\n    {}['total']\nexcept KeyError as error:\n    end_fork('it', error)")
    assert (code, output) == (1, "buffered")
    assert errors.startswith("Traceback (most recent call last):")
    assert errors.endswith("KeyError: 'total'\n")


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        ("SystemExit()", 0, ""),
        ("SystemExit(0)", 0, ""),
        ("SystemExit(3)", 3, ""),
        ("SystemExit(256 + 44)", 44, ""),
        ("SystemExit(-1)", 255, ""),
        ("SystemExit('no more')", 1, "no more\n"),
    ],
)
def test_sys_exit_ends_it_as_it_ends_any_process(raised: str, code: int, said: str) -> None:
    assert ended(f"end_fork('it', {raised})") == (code, "buffered", said)


@pytest.mark.parametrize("stream", ["sys.stdout", "sys.stderr"])
def test_a_stream_that_is_closed_does_not_keep_it(stream: str) -> None:
    code, _, errors = ended(f"{stream}.close()\nend_fork('it', SystemExit('no more'))\nprint('goes on')")
    assert code == 1
    assert "goes on" not in errors
