"""Standard streams as shells, schedulers and old terminals leave them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.integration.cli.conftest import Cli

NAME = "é 中 🧾"


def shell(cli: Cli, words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell in which `perdure` is the command."""
    line = f'perdure() {{ "{sys.executable}" -P -m perdure.cli "$@"; }}; {words}'
    return subprocess.run(
        ["bash", "-c", line],
        cwd=cli.folder,
        env=cli.whole_environment() | environment,
        capture_output=True,
        encoding=environment.get("PYTHONIOENCODING", "utf-8"),
        check=False,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_letters_that_the_terminal_lacks_are_escaped(cli: Cli, encoding: str) -> None:
    run = f"""perdure run flows.py:counting --id '{NAME}' --input '{{"label": "{NAME}"}}'"""
    for words in (run, f"{run} -o json", f"perdure show '{NAME}' -o json"):
        ran = shell(cli, words, PYTHONIOENCODING=encoding)
        assert ran.returncode == 0, ran.stderr
        document = json.loads(ran.stdout)
        assert NAME in (document.get("label"), document.get("id"))
    for words in (f"perdure show '{NAME}'", "perdure list", f"perdure cancel '{NAME}'"):
        ran = shell(cli, words, PYTHONIOENCODING=encoding)
        assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&- <&-"])
def test_streams_that_are_closed(cli: Cli, closed: str) -> None:
    ran = shell(cli, f"perdure run flows.py:counting --id x {closed}")

    assert (ran.returncode, "Traceback" in ran.stderr) == (0, False), ran.stderr
    assert cli.query("SELECT state FROM perdure.runs") == [("succeeded",)]


def test_a_disk_that_is_full(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "x")
    for words in ("perdure list > /dev/full", "perdure show x -o json > /dev/full"):
        ran = shell(cli, words)
        assert ran.returncode == 1
        assert ran.stderr.endswith("standard output cannot be used: No space left on device\n")
        assert ran.stderr.count("\n") == 1


def test_a_reader_that_has_read_enough(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "x")

    assert shell(cli, "perdure show x -o json | head -1").stderr == ""


@pytest.mark.parametrize("option", ["--database-url", "--queue"])
def test_an_option_that_is_empty_is_not_taken_for_none(cli: Cli, option: str) -> None:
    for words in (["list"], ["run", "flows.py:counting"], ["worker", "flows.py"], ["show", "x"]):
        refused = cli(*words, option, "", code=64)
        assert "is empty" in refused.errors
        assert "Traceback" not in refused.errors
