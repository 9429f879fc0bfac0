"""Modules by the names that every process has for them, whatever they are called in their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import enum
from perdure.serialization.class_names import find_type, type_name
from perdure import workflow

class Broke(Exception): ...

@workflow
def main() -> None: ...

def names() -> list:
    name, ours = type_name(Broke), find_type("perdure.errors:StepError")
    return [name, find_type(name) is Broke, ours is not None, main.definition.entrypoint]
"""
ASK = "\nif __name__ == '__main__':\n    print(names())\n"


def said(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def write(folder: Path, name: str, text: str = CODE + ASK) -> str:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize(
    ("file", "arguments", "name"),
    [
        ("app.py", ["app.py"], "app"),
        ("app.py", ["-m", "app"], "app"),
        ("app.py", ["-c", "import app; print(app.names())"], "app"),
        ("bank/app.py", ["bank/app.py"], "bank.app"),
        ("bank/app.py", ["-m", "bank.app"], "bank.app"),
        ("bank/__main__.py", ["-m", "bank"], "bank.__main__"),
        ("tool", ["tool"], "tool"),
        # A command that has the name of a package is not it.
        ("bin/perdure", ["bin/perdure"], "perdure"),
    ],
)
def test_a_script_has_the_name_of_its_module(tmp_path: Path, file: str, arguments: list[str], name: str) -> None:
    write(tmp_path, file)
    if file.startswith("bank"):
        write(tmp_path, "bank/__init__.py", "")

    found = name != "perdure"
    assert said(tmp_path, *arguments) == f"['{name}:Broke', {found}, True, '{name}:main']"


def test_so_it_has_in_a_process_that_multiprocessing_spawns(tmp_path: Path) -> None:
    spawns = (
        "\nif __name__ == '__main__':\n    from multiprocessing import get_context\n"
        "    with get_context('spawn').Pool(1) as pool:\n        print(pool.apply(names))\n"
    )
    write(tmp_path, "app.py", CODE + spawns)

    assert said(tmp_path, "app.py") == "['app:Broke', True, True, 'app:main']"


def test_what_has_no_file_keeps_its_name(tmp_path: Path) -> None:
    assert said(tmp_path, "-c", CODE + ASK) == "['__main__:Broke', True, True, '__main__:main']"
