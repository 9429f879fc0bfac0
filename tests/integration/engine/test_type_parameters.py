"""Type parameters in the syntax of Python 3.12, under annotations that are text: in every version that has them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness.pythons import pythons, venv_for

TREE = Path(__file__).parents[3]

PROGRAM = """
from __future__ import annotations

import sys

from perdure import step, workflow
from perdure.testing import DurableRun


@step
def same[T: (int, str)](value: T, others: list[T]) -> list[T]:
    return [value, *others]


class Holder[S]:
    @step
    def kept(self, value: S) -> dict[str, S]:
        return {"kept": value}


@workflow
def chooses[T](value: T) -> list[T] | dict[str, T]:
    return [*same(value, [2]), *Holder[int]().kept(3).values()]


run = DurableRun(chooses, 1)
run.attempt(kill_after=1)
print(sys.version_info[:2] >= (3, 12), run.result())
"""


@pytest.mark.timeout(600)
def test_they_are_resolved(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    environment = {"PYTHONPATH": str(TREE / "runtime")}
    said = []
    for python in pythons():
        done = subprocess.run(
            [str(venv_for(python) / "bin" / "python"), str(program)],
            capture_output=True,
            text=True,
            env=environment,
            check=False,
            timeout=120,
        )
        # Python 3.11 does not know the syntax.
        said.append(done.stdout or done.stderr.splitlines()[-1])
    newer = [text for text in said if not text.startswith("SyntaxError")]
    assert newer == ["True [1, 2, 3]\n"] * len(newer)
    assert len(said) - len(newer) <= 1
