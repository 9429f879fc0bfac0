"""`perdure list` and `perdure show`: what they find, and how they print it."""

from __future__ import annotations

import subprocess
import sys

from tests.integration.cli.conftest import Cli


def test_lists_and_shows(cli: Cli) -> None:
    cli("run", "flows.py:crashing", "--id", "crashed-once")
    cli("run", "flows.py:failing", "--id", "failed", code=1)
    cli("run", "flows.py:counting", "--id", "elsewhere", "--queue", "q2")

    lines = cli("list").output.splitlines()
    assert [line.split()[0] for line in lines] == ["id", "elsewhere", "failed", "crashed-once"]
    assert "LookupError: nothing there" in lines[2]
    for filter_, found in (
        (["--state", "failed"], ["failed"]),
        (["--state", "failed", "--state", "succeeded", "--limit", "2"], ["elsewhere", "failed"]),
        (["--id-prefix", "crash"], ["crashed-once"]),
        (["--queue", "q2"], ["elsewhere"]),
        (["--workflow", "flows:failing"], ["failed"]),
        (["--since", "1h"], ["elsewhere", "failed", "crashed-once"]),
        (["--since", "2999-01-01"], []),
    ):
        assert [run["id"] for run in cli.document("list", *filter_)] == found
    shown = cli.document("show", "crashed-once")
    assert [attempt["ending"] for attempt in shown["attempts"]] == ["crashed", "completed"]
    assert [(step["key"], step["attempt"], step["result"]) for step in shown["steps"]] == [
        ("count", 1, 1),
        ("die_until", 2, None),
    ]
    text = cli("show", "crashed-once").output
    for part in ("flows:crashing", "succeeded", "killed by SIGKILL", "die_until"):
        assert part in text
    assert cli.document("show", shown["run_id"]) == shown


def test_a_reader_that_has_read_enough_is_no_error(cli: Cli) -> None:
    cli.query("INSERT INTO perdure.runs (id, owner, name, entrypoint, input) SELECT gen_random_uuid(), 'queue:default',"
              " repeat('x', 200) || n, 'a:b', '{}' FROM generate_series(1, 2000) n RETURNING 1")  # fmt: skip
    listing = [sys.executable, "-P", "-m", "perdure.cli", "list", "--limit", "2000"]
    process = subprocess.Popen(
        listing, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=cli.whole_environment(), cwd=cli.folder
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()

    assert process.stderr.read() == b""
    assert process.wait(20) == 0
    process.stderr.close()
