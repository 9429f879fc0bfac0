"""A process that has everything imported and forks a child for each request: written programs run, hang and die there.

`Zygote` is its client, for tests; `python -m tests.integration.replay.zygote` the process. Each line of its standard
input is a request, and each line of its output something that the child told of, or that it ended.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

TREE = Path(__file__).resolve().parents[3]


class Zygote:
    """The process.

    Args:
        seed: its hash seed.
        runtime: the folder that holds the package `perdure`.
    """

    def __init__(self, seed: int = 0, runtime: Path = TREE / "runtime") -> None:
        paths = os.pathsep.join([str(runtime), str(TREE)])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.integration.replay.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=TREE,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": str(seed)},
        )

    def ask(self, what: str, deadline: float, **request: Any) -> Iterator[dict[str, Any]]:
        """What a child tells while it does `what`; the last one says how it `left`.

        Args:
            what: `in_memory` or `for_real`, of `attempts`.
            deadline: seconds without a word after which it is killed.
            request: what that function reads.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, "deadline": deadline, **request}) + "\n")
        self._process.stdin.flush()
        for line in self._process.stdout:
            told = json.loads(line)
            yield told
            if "left" in told:
                return
        raise AssertionError("the zygote is gone")

    def close(self) -> None:
        """End it."""
        self._process.communicate()


def _serve() -> None:
    from . import attempts, prelude  # noqa: F401  whatever a program imports is there before it is forked

    for line in sys.stdin:
        request = json.loads(line)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(getattr(attempts, request["what"]), request, writing)
        os.close(writing)
        left = _listen(child, reading, request["deadline"])
        print(json.dumps({"left": left}), flush=True)


def _child(function: Any, request: dict[str, Any], writing: int) -> None:
    errors = os.open(os.devnull, os.O_WRONLY)
    if not os.environ.get("PROGRAM_STDERR"):
        os.dup2(errors, 2)
    os.dup2(2, 1)

    def say(told: dict[str, Any]) -> None:
        data = json.dumps(told, default=repr).encode() + b"\n"
        while data:
            data = data[os.write(writing, data) :]

    try:
        function(request, say)
    except BaseException as error:  # the parent is to know
        import traceback

        say({"crashed": "".join(traceback.format_exception(error))})
    os._exit(0)


def _listen(child: int, reading: int, deadline: float) -> str:
    """Pass on what the child says, until it ends or says nothing for too long."""
    left = "ended"
    rest = b""
    until = time.monotonic() + deadline
    while True:
        ready, _, _ = select.select([reading], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            left = "hung"
            break
        data = os.read(reading, 1 << 16)
        if not data:
            break
        until = time.monotonic() + deadline
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            print(line.decode(), flush=True)
    os.close(reading)
    if left == "hung":
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return left


if __name__ == "__main__":
    _serve()
