"""A run that one Python version began goes on under another: the same keys, the same decisions."""

from __future__ import annotations

import json
import os
import random
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.harness.pythons import pythons, venv_for

_TREE = Path(__file__).resolve().parents[3]
_COMPOUND = ("seq", "gather", "group", "wait", "as_completed", "queue", "timeout", "wait_for", "race")


def _sample(chance: random.Random, depth: int) -> list[Any]:
    if depth == 0 or chance.random() < 0.25:
        return [chance.choice(["step", "step", "fail", "sleep"]), chance.randint(0, 40)]
    kind = chance.choice(_COMPOUND)
    nodes = [_sample(chance, depth - 1) for _ in range(chance.randint(1, 4))]
    if kind == "wait":
        return [kind, chance.random() < 0.5, chance.random() < 0.5, *nodes]
    if kind == "queue":
        return [kind, chance.randint(1, 3), *nodes]
    if kind in ("timeout", "wait_for", "race"):
        return [kind, chance.randint(0, 50), nodes[0]]
    return [kind, *nodes]


def _run(python: Path, what: str, lines: list[str]) -> list[str]:
    paths = os.pathsep.join([str(_TREE), str(_TREE / "runtime")])
    done = subprocess.run(
        [str(python), "-m", "tests.integration.replay.programs", what],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        cwd=_TREE,
        env={**os.environ, "PYTHONPATH": paths},
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.splitlines()


@pytest.mark.timeout(900)
def test_every_version_resumes_what_every_version_recorded() -> None:
    chance = random.Random(20)
    samples = [json.dumps(_sample(chance, 3)) for _ in range(60)]
    # On 3.11 wait_for makes a task of its own, later it does not: the keys must not show it.
    samples.append(
        json.dumps(
            ["gather", ["wait_for", 30, ["seq", ["step", 3], ["gather", ["step", 4], ["step", 5]]]], ["step", 6]]
        )
    )
    environments = [venv_for(python) / "bin" / "python" for python in pythons()]
    recorded = {str(python): _run(python, "record", samples) for python in environments}
    keys = {
        python: [sorted(row[0] for row in json.loads(line)["rows"]) for line in lines]
        for python, lines in recorded.items()
    }
    assert all(one == keys[str(environments[0])] for one in keys.values())
    for python in environments:
        for lines in recorded.values():
            assert _run(python, "check", lines) == ["same"] * len(samples)
