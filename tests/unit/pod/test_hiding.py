"""Secrets of an attempt are in no environment that another process can read, nor in its memory for others."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SETUP = """
import os, subprocess, sys
from perdure.pod.hiding import forbid_looking_in, forget_variables

def environ(pid="self"):
    with open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()
"""


def run(code: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SETUP + code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_forgotten_variable_is_in_no_environment() -> None:
    code = (
        "assert b'hush-hush' in environ()\n"
        "forget_variables('SECRET', 'NOT_THERE')\n"
        "child = subprocess.run(['env'], capture_output=True).stdout\n"
        "print('SECRET' in os.environ, b'hush-hush' in environ(), b'hush-hush' in child, os.environ['OTHER'])"
    )
    assert run(code, SECRET="hush-hush", OTHER="kept") == "False False False kept"


def test_of_a_process_that_forbids_it_nobody_of_the_same_user_reads_anything() -> None:
    code = (
        "forbid_looking_in()\n"
        "print(os.stat('/proc/self/environ').st_uid)\n"
        "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"  # PR_GET_DUMPABLE
    )
    assert run(code).splitlines() == ["0", "0"]


def test_programs_that_it_starts_may_be_looked_into_again() -> None:
    started = "import ctypes; print(ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))"
    code = f"forbid_looking_in()\nstarted = {started!r}\nsys.exit(subprocess.call([sys.executable, '-c', started]))"
    assert run(code) == "1"


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a second user to look")
def test_another_process_of_the_same_user_cannot_read_its_environment() -> None:
    code = (
        "os.setuid(65534)\n"
        "import ctypes; ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)\n"
        "def seen():\n"
        "    return subprocess.run(['/bin/cat', f'/proc/{os.getpid()}/environ'], capture_output=True).returncode\n"
        "before = seen(); forbid_looking_in(); print(before, seen())"
    )
    assert run(code) == "0 1"
