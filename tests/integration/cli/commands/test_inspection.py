"""`perdure list`, `show`, `delete`, `prune`, `migrate`, `restored` and `exec` on the command line."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tests.harness.databases import Databases
from tests.harness.eventually import eventually
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


def test_deletes_and_prunes(cli: Cli) -> None:
    for name in ("a", "b", "c"):
        cli("run", "flows.py:counting", "--id", name, "--input", '{"n": 0}')

    cli("delete", "a")
    assert cli("prune", "--older-than", "1h").output == "0 runs deleted\n"
    assert cli("prune", "--older-than", "0s", "--state", "failed").output == "0 runs deleted\n"
    assert cli("prune", "--older-than", "0s").output == "2 runs deleted\n"
    assert cli("list").output == "no runs\n"


def test_migrates(cli: Cli, databases: Databases) -> None:
    url = databases.empty().url

    refused = cli("list", "--database-url", url, code=69)
    assert "run 'perdure migrate'" in refused.errors
    assert "migrated from version 0" in cli("migrate", "--database-url", url).output
    assert "already" in cli("migrate", "--database-url", url).output
    assert "GRANT EXECUTE" in cli("migrate", "--sql", "--pod-role", "pods").output


def test_a_restored_database_is_told_so(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "a", "--input", '{"n": 0}')
    [(before,)] = cli.query("SELECT store_id::text FROM perdure.meta")
    said = cli("restored").output
    [(after,)] = cli.query("SELECT store_id::text FROM perdure.meta")
    assert after != before
    assert f"this is the store {after} from now on" in said


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


def test_exec_loads_little(cli: Cli) -> None:
    code = "import sys; sys.argv = ['perdure', 'exec']; from perdure.cli.main import main; main(); print(*sys.modules)"
    started = time.monotonic()
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()

    assert time.monotonic() - started < 30
    assert not {"argparse", "sqlalchemy", "rich", "yaml", "alembic"} & set(loaded)


def test_a_worker_runs_what_is_in_its_queue_until_it_is_stopped(cli: Cli) -> None:
    worker = cli.start("worker", "flows.py", "--queue", "q")
    eventually(lambda: "working on queue 'q'" in worker.errors, 20)

    ran = cli.document("run", "flows.py:counting", "--queue", "q")
    worker.signal(signal.SIGTERM)

    assert ran["state"] == "succeeded"
    assert worker.wait(20) == 0
