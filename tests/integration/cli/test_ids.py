"""Ids of runs, as people choose them: dates, paths, words of any language; and two projects that choose the same."""

from __future__ import annotations

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perdure import Client
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.integration.cli.conftest import Cli

IDS = [
    "2026/01/31",
    "reports/year 2026/Überweisung #7.pdf",
    "s3://bucket/key?version=1&part=2#3",
    "発注-42 🧾",
    "quotes \" and ' and $HOME and \\",
    "-starts-with-a-dash",
    "%s {name} [red]not a colour[/red]",
    "x" * 512,
]


def test_an_id_is_any_text(cli: Cli, database: Database) -> None:
    with Client(database.url) as client:
        for name in IDS:
            client.start("flows:counting", id=name)

    listed = cli("list").output
    assert all(name in listed for name in IDS)
    assert {run["id"] for run in cli.document("list")} == set(IDS)
    assert [run["id"] for run in cli.document("list", f"--id-prefix={IDS[1][:9]}")] == [IDS[1]]


@pytest.mark.parametrize("name", [IDS[1], IDS[5]], ids=range(2))
def test_commands_take_every_id(cli: Cli, name: str) -> None:
    assert cli.document("run", "flows.py:counting", f"--id={name}")["id"] == name
    assert cli.document("run", "flows.py:counting", f"--id={name}")["id"] == name
    assert cli.log() == ["count 0", "count 1", "count 2"]

    assert name in cli("show", "--", name).output
    assert name in cli("cancel", "--", name).output
    assert name in cli("delete", "--", name).output
    assert cli.query("SELECT 1 FROM perdure.runs") == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the id of a run is empty: give it one, or leave it out"),
        ("  ", "the id of a run is empty: give it one, or leave it out"),
        ("a\nb", "cannot contain '\\n'"),
        ("a\x7f", "cannot contain '\\x7f'"),
        ("a\x85", "cannot contain '\\x85'"),
        ("a\u2028b", "cannot contain '\\u2028'"),
        ("a\udcff", "cannot contain '\\udcff'"),
        ("ü" * 257, "has 514 bytes, 512 are the most"),
    ],
)
def test_what_no_id_is(cli: Cli, name: str, message: str) -> None:
    refused = cli("run", "flows.py:counting", "--id", name, code=64)

    assert message in refused.errors
    assert refused.errors.count("\n") == 2, "one line of the import, and one sentence"
    assert "Traceback" not in refused.errors
    assert cli.query("SELECT 1 FROM perdure.runs") == []


@pytest.mark.parametrize("name", ["", "a\nb", "\udcff"])
def test_what_no_run_can_have_is_not_found(cli: Cli, name: str) -> None:
    for command in ("show", "cancel", "delete"):
        assert "has no run" in cli(command, name, code=1).errors
    assert cli.document("list", "--id-prefix", "\udcff") == []
    assert cli.document("list", "--workflow", "\udcff") == []


def test_the_words_to_go_on_with_can_be_pasted_into_a_shell(cli: Cli) -> None:
    name = "-it's 5 o'clock/now"
    first = cli.start("run", "flows.py:held", f"--id={name}", "--input", "{}", "--queue", "a b/c")
    cli.wait_for("hold 1")
    first.signal(signal.SIGINT)
    eventually(lambda: "stopping after the step in flight" in first.errors)
    first.signal(signal.SIGINT)
    assert first.wait(20) == 130
    cli.let_go()

    [words] = [line.partition("go on with: perdure ")[2] for line in first.errors.splitlines() if "go on with" in line]
    ran = subprocess.run(
        ["bash", "-c", f"{shlex.quote(sys.executable)} -P -m perdure.cli {words} -o json"],
        cwd=cli.folder,
        env=cli.whole_environment(),
        capture_output=True,
        text=True,
        check=True,
    )

    assert '"attempts": 2' in ran.stdout


def test_a_client_takes_the_same_ids(database: Database) -> None:
    with Client(database.url) as client:
        # Of a module that no test can have imported: its arguments would be looked at.
        handle = client.start("in_no_test:transfer", id="2026/01/31", queue="team/mails")
    with Client(database.url, queue="team/mails") as client:
        assert client.get("2026/01/31").run_id == handle.run_id


@pytest.fixture
def two_projects(cli: Cli) -> tuple[Path, Path]:
    """Two folders with a pipeline.py each, and one embedded database."""
    del cli.environment["PERDURE_DATABASE_URL"]
    cli.environment |= {"PERDURE_DATA_DIR": str(cli.folder / "data"), "PERDURE_IDLE_SECONDS": "1"}
    folders = (cli.folder / "one", cli.folder / "two")
    for folder in folders:
        folder.mkdir()
        (folder / "pipeline.py").write_text(
            f"from perdure import workflow\n\n\n@workflow\ndef main() -> str:\n    return '{folder.name}'\n"
        )
    return folders


def run_in(cli: Cli, folder: Path, *arguments: str, code: int = 0) -> str:
    cli.folder = folder
    ran = cli("run", *arguments, code=code)
    return ran.output.strip() or ran.errors


@pytest.mark.parametrize("name", ["pipeline.py:main", "pipeline:main"])
def test_two_projects_with_one_embedded_database_and_one_id(
    cli: Cli, two_projects: tuple[Path, Path], name: str
) -> None:
    one, two = two_projects
    assert run_in(cli, one, name, "--id", "x") == '"one"'

    refused = run_in(cli, two, name, "--id", "x", code=64)

    assert f"run 'x' of queue 'default' exists already, of {one}/pipeline.py, not of {two}/pipeline.py" in refused
    assert "use another id or another queue, or delete that run first" in refused
    assert run_in(cli, two, name, "--id", "x", "--queue", "two") == '"two"'
    assert run_in(cli, one, str(one / "pipeline.py:main"), "--id", "x") == '"one"'


def test_a_worker_leaves_the_runs_of_another_project(cli: Cli, two_projects: tuple[Path, Path]) -> None:
    one, two = two_projects
    hold = "from perdure import step, workflow\nimport time\n\n@step\ndef hold():\n    time.sleep(60)\n\n"
    (one / "pipeline.py").write_text(f"{hold}@workflow\ndef main() -> str:\n    hold()\n    return 'one'\n")
    cli.folder = one
    started = cli.start("run", "pipeline.py:main", "--id", "x")
    eventually(lambda: "hold: started" in started.errors, 20)
    for _ in range(2):
        started.signal(signal.SIGINT)
        eventually(lambda: "stopping after" in started.errors or not started.running())
    assert started.wait(20) == 130

    cli.folder = two
    worker = cli.start("worker", "pipeline.py")
    eventually(lambda: "working on queue" in worker.errors, 20)
    program = cli.folder / "start.py"
    program.write_text(
        "from perdure import Client\n"
        "with Client(local=True) as client:\n    print(client.start('pipeline:main', id='y').result(20))\n"
    )
    child = subprocess.run(
        [sys.executable, str(program)], env=cli.whole_environment(), capture_output=True, text=True, check=True
    )

    assert child.stdout == "two\n"
    assert cli.document("show", "x")["state"] == "pending", "it is older, and would have been claimed before"


def test_a_project_that_was_moved_goes_on_with_its_runs(cli: Cli, two_projects: tuple[Path, Path]) -> None:
    one, _ = two_projects
    assert run_in(cli, one, "pipeline.py:main", "--id", "x") == '"one"'
    moved = one.with_name("elsewhere")
    one.rename(moved)
    assert run_in(cli, moved, "pipeline.py:main", "--id", "x") == '"one"'
    link = one.with_name("link")
    link.symlink_to(moved)
    assert run_in(cli, link, str(link / "pipeline.py:main"), "--id", "x") == '"one"'


def test_a_database_of_ones_own_is_one_projects(cli: Cli, database: Database) -> None:
    """Releases of one project lie in folders of their own, side by side, and go on with each other's runs."""
    cli("run", "flows.py:counting", "--id", "x")
    other = cli.folder / "release-2"
    other.mkdir()
    shutil.copy(cli.folder / "flows.py", other)
    cli.folder = other
    assert cli.document("run", "flows.py:counting", "--id", "x")["attempts"] == 1
    assert database.query("SELECT count(*) FROM perdure.runs") == [(1,)]


def test_version(cli: Cli) -> None:
    from importlib.metadata import version

    assert cli("--version").output == f"perdure {version('perdure')}\n"
