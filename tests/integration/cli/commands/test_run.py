"""`perdure run`: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from tests.integration.cli.conftest import Cli


def test_the_result_alone_is_on_standard_output(cli: Cli) -> None:
    ran = cli("run", "flows.py:counting", "--input", '{"n": 2, "label": "naïve"}')

    assert json.loads(ran.output) == {"label": "naïve", "sum": 1}
    for line in ("imported", "counting 1", "perdure: count#2: done in"):
        assert line in ran.errors


def test_documents_for_programs(cli: Cli) -> None:
    ran = cli.document("run", "flows:counting", "--id", "x")
    again = yaml.safe_load(cli("run", "flows:counting", "--id", "x", "-o", "yaml").output)

    assert {**ran, "run_id": ""} == {
        "id": "x",
        "run_id": "",
        "state": "succeeded",
        "attempts": 1,
        "result": {"label": "", "sum": 3},
        "error": None,
    }
    assert again == ran
    assert cli.log() == ["count 0", "count 1", "count 2"]


def test_a_workflow_that_fails(cli: Cli) -> None:
    ran = cli("run", "flows.py:failing", "--id", "x", code=1)

    assert ran.output == ""
    assert 'raise LookupError("nothing there")' in ran.errors
    assert "run x failed: LookupError: nothing there" in ran.errors
    document = cli.document("run", "flows.py:failing", "--id", "x", code=1)
    assert (document["state"], document["error"]["type"]) == ("failed", "builtins:LookupError")
    assert cli.log() == ["count 1"]


def test_each_event_is_a_line_where_there_is_no_terminal(cli: Cli) -> None:
    ran = cli("run", "flows.py:trying")

    assert "flaky: try 2 failed, next in" in ran.errors
    assert "ConnectionError: not now" in ran.errors
    assert "3 tries" in ran.errors


def test_input_from_a_file_and_from_a_pipe(cli: Cli) -> None:
    (cli.folder / "in.json").write_text('{"n": 1}')
    assert json.loads(cli("run", "flows.py:counting", "--input", "@in.json").output)["sum"] == 0

    piped = subprocess.run(
        [sys.executable, "-P", "-m", "perdure.cli", "run", "flows.py:counting", "--input", "@-"],
        input=b'{"n": 4}',
        capture_output=True,
        cwd=cli.folder,
        env=cli.whole_environment(),
        check=True,
    )
    assert json.loads(piped.stdout)["sum"] == 6


def test_a_file_of_a_package_is_imported_by_its_own_name(cli: Cli) -> None:
    package = cli.folder / "bank" / "flows"
    package.mkdir(parents=True)
    (cli.folder / "bank" / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "errors.py").write_text("class Broke(Exception): ...\n")
    (package / "pay.py").write_text(
        "from perdure import workflow\nfrom .errors import Broke\n\n\n"
        "@workflow\ndef pay() -> None:\n    raise Broke('no money')\n"
    )

    document = cli.document("run", "bank/flows/pay.py:pay", code=1)

    assert document["error"]["type"] == "bank.flows.errors:Broke"


def test_a_crash_is_followed_by_another_attempt(cli: Cli) -> None:
    ran = cli.document("run", "flows.py:crashing", "--input", '{"until": 3}')

    assert (ran["state"], ran["attempts"]) == ("succeeded", 3)
    assert cli.log() == ["count 1", "die 1", "die 2", "die 3"]


def test_a_run_that_kills_every_process_stops_at_its_limit(cli: Cli) -> None:
    ran = cli("run", "flows.py:crashing", "--input", '{"until": 9}', "--backoff-limit", "1", code=1)

    assert "BackoffLimitExceeded" in ran.errors
    assert "SIGKILL" in ran.errors
    assert cli.log() == ["count 1", "die 1", "die 2"]


def test_the_embedded_database_is_the_default(cli: Cli) -> None:
    del cli.environment["PERDURE_DATABASE_URL"]
    cli.environment |= {"PERDURE_DATA_DIR": str(cli.folder / "data"), "PERDURE_IDLE_SECONDS": "1"}

    assert json.loads(cli("run", "flows.py:counting", "--id", "x").output)["sum"] == 3
    assert cli("show", "x", "-o", "json").output.count('"key"') == 3
    assert cli("list").output.splitlines()[1].split()[:3] == ["x", "flows:counting", "succeeded"]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["run", "flows.py"], 64, "names no workflow: write module:function"),
        (["run", "nowhere.py:x"], 64, "nowhere.py does not exist"),
        (["run", "nowhere:x"], 64, "there is no module 'nowhere'"),
        (["run", "flows.py:countnig"], 64, "did you mean 'counting'?"),
        (["run", "flows.py:plain"], 64, "mark it @workflow"),
        (["run", "flows.py:count"], 64, "is a step, not a workflow"),
        (["run", "flows.py:a.b"], 64, "top level of its module"),
        (["run", "broken.py:x"], 64, "SyntaxError"),
        (["run", "exits.py:x"], 64, "__main__"),
        (["run", "json.py:x"], 64, "rename the file"),
        (["run", "flows.py:counting", "--input", "{"], 64, "--input holds no JSON"),
        (["run", "flows.py:counting", "--input", "[1]"], 64, "--input holds a list"),
        (["run", "flows.py:counting", "--input", "@none.json"], 64, "none.json cannot be read: No such file"),
        (["run", "flows.py:counting", "--input", '{"n": "many"}'], 64, "n"),
        (["run", "flows.py:counting", "--input", '{"lable": "x"}'], 64, "did you mean 'label'?"),
        (["run", "flows.py:counting", "--input", '{"label": "\\ud800"}'], 64, "label"),
        (["run", "flows.py:counting", "--input", '{"n": NaN}'], 64, "n"),
        (["run", "flows.py:counting", "--backoff-limit", "-1"], 64, "--backoff-limit"),
        (["run", "flows.py:counting", "--database-url", "mysql://x"], 64, "database URL"),
        (["run", "flows.py:counting", "-o", "xml"], 64, "invalid choice"),
        (["show", "nothing"], 1, "no run 'nothing'"),
        (["cancel", "nothing"], 1, "no run 'nothing'"),
        (["delete", "nothing"], 1, "no run 'nothing'"),
        (["list", "--state", "done"], 64, "no state of a run"),
        (["list", "--since", "yesterday"], 64, "--since 'yesterday' is no time"),
        (["prune", "--older-than", "7"], 64, "--older-than '7' is no length of time"),
        (["prune", "--older-than", "1d", "--state", "running"], 64, "only runs that have ended"),
        (["migrate", "--sql"], 64, "--pod-role"),
        (["worker", "nowhere"], 64, "there is no module 'nowhere'"),
        (["worker", "string"], 64, "is marked @workflow"),
        (["dance"], 64, "invalid choice"),
        ([], 64, "COMMAND"),
    ],
)
def test_bad_input_gets_one_clear_sentence(cli: Cli, arguments: list[str], code: int, message: str) -> None:
    (cli.folder / "broken.py").write_text("def x(:\n")
    (cli.folder / "exits.py").write_text("import sys\nsys.exit(3)\n")
    (cli.folder / "json.py").write_text("")

    ran = cli(*arguments, code=code)

    said = ran.errors.removeprefix("imported\n")
    assert message in said
    assert said.startswith("perdure")
    assert "Traceback" not in said
    assert ran.output == ""
    assert cli.query("SELECT name FROM perdure.runs") == []


def test_the_same_id_with_another_input_or_workflow_is_refused(cli: Cli) -> None:
    cli("run", "flows.py:counting", "--id", "x")

    other = cli("run", "flows.py:counting", "--id", "x", "--input", '{"n": 5}', code=64)
    another = cli("run", "flows.py:trying", "--id", "x", code=64)

    assert "with another input: n is missing there, 5 here" in other.errors
    assert "of workflow flows:counting, not flows:trying" in another.errors


def test_a_store_that_cannot_be_used(cli: Cli) -> None:
    away = cli("list", "--database-url", "postgresql://nobody@127.0.0.1:1/x", code=69)

    assert "the store does not answer" in away.errors


def test_debug_shows_the_traceback(cli: Cli) -> None:
    assert "Traceback" in cli("show", "nothing", "--debug", code=1).errors


def test_help_names_the_exit_codes(cli: Cli) -> None:
    assert "130 by Ctrl-C" in cli("run", "--help").output
