"""What the kstatus of Flux and Helm 4 makes of an object, by that very code."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from typing import Any

from tests.cluster.built.binaries import KSTATUS, program
from tests.cluster.built.prerequisites import Lacking
from tests.harness.unavailable import untested

__all__ = ["kstatus", "statuses"]


def statuses(bodies: Sequence[dict[str, Any]]) -> list[str]:
    """`InProgress`, `Failed`, `Current` or `Terminating` of each; a test without what builds it is skipped."""
    try:
        path = program(KSTATUS, print)
    except Lacking as lacking:
        untested(str(lacking))
    text = "\n".join(json.dumps(body) for body in bodies)
    done = subprocess.run([path], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line)["status"] for line in done.stdout.splitlines()]


def kstatus(body: dict[str, Any]) -> str:
    """Of one."""
    return statuses([body])[0]
