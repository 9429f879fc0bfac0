"""User code that raises what ends processes ends its run, alike in every mode, whatever may be raised there."""

from __future__ import annotations

import shutil
import signal
import sys
import textwrap
from pathlib import Path

import pytest

from perdure import Client
from perdure.store.runs.model import RunState
from tests.harness.databases import Database
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.cli import exits
from tests.integration.cli.conftest import Cli

PLACES = [
    exits.in_a_step,
    exits.in_a_step_with_a_timeout,
    exits.between_steps,
    exits.in_a_pool,
    exits.in_an_async_step,
    exits.in_a_sync_step_of_an_async_workflow,
    exits.in_async_code,
    exits.in_a_task,
    exits.in_a_thread,
]
NAMES = [place.__name__ for place in PLACES]


@pytest.fixture
def exits_cli(cli: Cli) -> Cli:
    """The command line in a folder with exits.py."""
    shutil.copy(Path(exits.__file__), cli.folder)
    return cli


def type_of(error: str | None) -> str:
    return (error or "").rpartition(":")[2]


def test_under_a_worker(exits_cli: Cli, database: Database) -> None:
    worker = exits_cli.start("worker", "exits.py")
    with Client(database.url) as client:
        asked = {
            (name, kind): client.start(f"exits:{name}", input={"kind": kind}) for name in NAMES for kind in exits.KINDS
        }
        fine = client.start("exits:caught", input={"kind": "SystemExit"})
        assert fine.result(30) == "caught 1"
        for (name, kind), run in asked.items():
            with pytest.raises(Exception, match="failed"):
                run.result(60)
            status = run.status()
            assert (status.state, type_of(status.error_type), status.attempts) == (RunState.FAILED, kind, 1), name
    assert worker.running()
    worker.signal(signal.SIGTERM)
    assert worker.wait(20) == 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[(name, "KeyboardInterrupt") for name in NAMES],
        *[("in_a_step", kind) for kind in exits.KINDS if kind != "KeyboardInterrupt"],
        *[("in_an_async_step", kind) for kind in ("CancelledError", "GeneratorExit")],
    ],
)
def test_under_perdure_run(exits_cli: Cli, name: str, kind: str) -> None:
    ran = exits_cli("run", f"exits.py:{name}", "--id", "x", "--input", f'{{"kind": "{kind}"}}', code=1)

    assert f"run x failed: {kind}" in ran.errors
    shown = exits_cli.document("show", "x")
    assert (shown["state"], type_of(shown["error"]["type"]), len(shown["attempts"])) == ("failed", kind, 1)
    assert exits_cli.log() == ["charge"]


def test_a_step_that_ends_so_is_recorded_and_may_be_caught(exits_cli: Cli) -> None:
    ran = exits_cli.document("run", "exits.py:caught", "--id", "x", "--input", '{"kind": "KeyboardInterrupt"}')

    assert ran["result"] == "caught 1"
    assert [one["outcome"] for one in exits_cli.document("show", "x")["steps"]] == ["error", "result"]


def test_under_a_manifest(exits_cli: Cli) -> None:
    manifest = """\
        apiVersion: perdure.io/v1alpha1
        kind: Workflow
        metadata: {name: x}
        spec: {entrypoint: "exits:in_a_step", input: {kind: KeyboardInterrupt}}
    """
    (exits_cli.folder / "x.yaml").write_text(textwrap.dedent(manifest))

    ran = exits_cli("run", "x.yaml", code=1)

    assert "KeyboardInterrupt: gone" in ran.errors
    assert exits_cli.log() == ["charge"]


def test_a_workflow_that_sends_sigint_to_itself_crashes_up_to_its_limit(exits_cli: Cli) -> None:
    ran = exits_cli("run", "exits.py:signals_itself", "--id", "x", "--backoff-limit", "1", code=1)

    assert "BackoffLimitExceeded" in ran.errors
    assert "SIGINT" in ran.errors
    assert exits_cli.log() == ["charge", "interrupt", "interrupt"]


def test_ctrl_c_in_a_test_of_a_workflow_is_no_outcome(children: Children, workspace: Workspace) -> None:
    folder = workspace.new_folder("testing")
    (folder / "tested.py").write_text(
        textwrap.dedent("""\
            import os, signal
            from perdure import step, workflow
            from perdure.testing import DurableRun

            @step
            def press():
                os.kill(os.getpid(), signal.SIGINT)

            @step
            def give_up():
                raise KeyboardInterrupt

            @workflow
            def flow(own: bool):
                give_up() if own else press()

            run = DurableRun(flow, False)
            try:
                run.attempt()
            except KeyboardInterrupt:
                print("interrupted", run.ended, run.checkpoints)
            run = DurableRun(flow, True)
            print(run.attempt().state, run.checkpoints, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
        """)
    )

    child = children.start([sys.executable, "tested.py"], cwd=folder)

    assert child.wait(20) == 0, child.errors
    assert child.output.splitlines() == ["interrupted False []", "failed ['give_up'] True"]
