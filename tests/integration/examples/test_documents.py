"""What the README and the guide show works as they show it."""

from __future__ import annotations

import re
import subprocess
import sys
import types

from perdure.attempt_results import Succeeded
from tests.harness.eventually import eventually
from tests.integration.engine.attempts import Run

from .conftest import PERDURE, ROOT


def blocks(document, language="python"):
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", (ROOT / document).read_text())


def test_the_readme_opens_with_the_two_commands():
    commands = re.findall(r"(?m)^\$ (.*)", blocks("README.md", "console")[0])
    assert [one.partition("#")[0].strip() for one in commands] == ["make demo", "make test"]


def test_the_ten_lines_go_on_after_a_kill(children, database, tmp_path):
    lines = blocks("README.md")[0]
    assert len(lines.splitlines()) <= 12
    (tmp_path / "hello.py").write_text(lines)
    command = next(one for one in blocks("README.md", "console") if "hello.py" in one)
    arguments = re.findall(r"'[^']*'|\S+", command)
    assert arguments[:3] == ["$", "perdure", "run"]
    run = [str(PERDURE), *(one.strip("'") for one in arguments[2:])]
    env = {"PERDURE_DATABASE_URL": database.url}
    child = children.start(run, env=env, cwd=tmp_path)
    eventually(lambda: database.query("SELECT 1 FROM perdure.steps"))
    child.kill_group()
    again = children.start(run, env=env, cwd=tmp_path)
    assert again.wait(20) == 0, again
    assert "Hello, Ada" in again.output
    assert "Hello, Alan" in again.output
    attempts = database.query("SELECT attempt FROM perdure.steps ORDER BY ordinal")
    assert attempts[0] == (1,)
    assert attempts[-1] == (2,)


def test_the_application_runs(children, database, tmp_path):
    for name, lines in zip(("hello.py", "application.py"), blocks("README.md"), strict=True):
        (tmp_path / name).write_text(lines)
    child = children.start([sys.executable, "application.py"], env={"PERDURE_DATABASE_URL": database.url}, cwd=tmp_path)
    assert child.wait(30) == 0, child
    assert child.output == "['Hello, Ada']\n"


def test_the_guides_code_runs(monkeypatch):
    module = types.ModuleType("guide")
    monkeypatch.setitem(sys.modules, "guide", module)
    code = "\n".join(blocks("docs/guide.md"))
    assert code.count("assert ") > 10
    exec(compile(code, "docs/guide.md", "exec"), module.__dict__)


def test_the_guides_sessions_of_sqlalchemy_run(database, monkeypatch):
    [code] = [block for block in blocks("docs/guide.md", "py") if "step_engine" in block]
    module = types.ModuleType("guide_of_seats")
    monkeypatch.setitem(sys.modules, "guide_of_seats", module)
    exec(compile(code, "docs/guide.md", "exec"), module.__dict__)
    database.query("CREATE TABLE seats (number integer PRIMARY KEY, guest text NOT NULL)")
    assert Run(database.url, module.evening, ["Ada", "Bo"]).attempt() == Succeeded('["Ada has seat 1","Bo has seat 2"]')
    assert database.query("SELECT * FROM seats ORDER BY number") == [(1, "Ada"), (2, "Bo")]


def test_the_guarantees_name_tests_that_exist():
    named = re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "guarantees.md").read_text())
    assert len(named) > 10
    for file, test in named:
        assert (ROOT / file).is_file(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_the_commands_that_the_readme_names_exist():
    shown = subprocess.run([PERDURE, "--help"], check=True, capture_output=True, text=True).stdout
    for name in ("run", "worker", "exec", "list", "show", "cancel", "delete", "prune", "migrate"):
        assert re.search(rf"(?m)^    {name}\b", shown)
