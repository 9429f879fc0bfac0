"""`perdure run` that is interrupted, killed or called twice: the run goes on from its last step, once."""

from __future__ import annotations

import json
import signal
import subprocess
from uuid import uuid4

from perdure import Client
from perdure.process.identity import host_identity, process_started
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.claim_one import StandingStore
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import alive, signal_all
from tests.integration.cli.conftest import Cli

RUN = ("run", "flows.py:held", "--id", "x")


def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")

    first.signal_group(signal.SIGINT)
    eventually(lambda: "stopping after the step in flight" in first.errors)
    cli.let_go("drain", "go")

    assert first.wait(20) == 130
    (cli.folder / "drain").unlink()
    assert "go on with: perdure run flows.py:held --id x" in first.errors
    assert json.loads(cli(*RUN).output) == [1, 1, 2]
    assert cli.log() == ["count 1", "hold 1", "count 2"]


def test_ctrl_c_twice_stops_at_once(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")

    first.signal_group(signal.SIGINT)
    eventually(lambda: "stopping after the step in flight" in first.errors)
    first.signal_group(signal.SIGINT)

    assert first.wait(10) == 130
    cli.let_go()
    assert json.loads(cli(*RUN).output) == [1, 2, 2]


def test_sigterm_stops_it_too(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")

    first.signal(signal.SIGTERM)
    cli.let_go("drain", "go")

    assert first.wait(20) == 75


def test_killed_with_its_group_it_goes_on_at_once(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")
    everybody = [first.pid, *first.descendants()]
    assert len(everybody) == 3

    signal_all(everybody, signal.SIGKILL)
    first.wait()
    cli.let_go()

    # A lease so long that only the death that was seen can be the reason.
    second = cli(*RUN, PERDURE_LEASE_SECONDS="600")
    assert json.loads(second.output) == [1, 2, 2]
    assert "going on in its place" in second.errors
    assert cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def test_killed_alone_it_takes_its_processes_along(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")
    below = first.descendants()

    first.kill()

    eventually(lambda: not any(alive(pid) for pid in below))
    cli.let_go()
    assert json.loads(cli(*RUN, PERDURE_LEASE_SECONDS="600").output) == [1, 2, 2]


def test_a_killed_supervisor_is_a_crash(cli: Cli) -> None:
    first = cli.start(*RUN, PERDURE_LEASE_SECONDS="600")
    cli.wait_for("hold 1")

    supervisor, child = first.descendants()
    signal_all([supervisor], signal.SIGKILL)
    eventually(lambda: not alive(child))  # it dies with its supervisor, and may have finished its step until it has
    cli.let_go()

    assert first.wait(20) == 0
    assert json.loads(first.output) == [1, 2, 2]


def test_the_same_command_twice_runs_it_once_and_both_tell_the_result(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")
    second = cli.start(*RUN)
    eventually(lambda: "runs in another process" in second.errors, 20)
    cli.let_go()

    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert json.loads(first.output) == json.loads(second.output) == [1, 1, 2]
    assert cli.log() == ["count 1", "hold 1", "count 2"]


def test_a_paused_process_is_taken_over_after_its_lease(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")
    everybody = [first.pid, *first.descendants()]
    signal_all(everybody, signal.SIGSTOP)
    cli.let_go()

    second = cli(*RUN)
    signal_all(everybody, signal.SIGCONT)

    assert "gave no sign of life" in second.errors
    assert json.loads(second.output) == [1, 2, 2]
    assert first.wait(20) == 0
    assert json.loads(first.output) == [1, 2, 2]
    assert cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def test_a_follower_takes_over_when_the_other_is_killed(cli: Cli) -> None:
    first = cli.start(*RUN, PERDURE_LEASE_SECONDS="600")
    cli.wait_for("hold 1")
    second = cli.start(*RUN, PERDURE_LEASE_SECONDS="600")
    eventually(lambda: "runs in another process" in second.errors, 20)

    signal_all([first.pid, *first.descendants()], signal.SIGKILL)
    cli.let_go()

    assert second.wait(20) == 0
    assert cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def test_killed_between_claim_and_begin_it_goes_on_at_once(cli: Cli, database: Database) -> None:
    with Client(database.url) as client:
        run = client.start("flows:counting", id="early")
    store = StandingStore(database.url)
    command = subprocess.Popen(["sleep", "60"])
    claimer = ProcessIdentity(uuid4(), host_identity(), command.pid, process_started(command.pid) or 0)
    assert store.claim(run.run_id, 0, claimer)
    store.close()
    command.kill()
    command.wait()

    went_on = cli.start("run", "flows.py:counting", "--id", "early", PERDURE_LEASE_SECONDS="600")

    assert went_on.wait(20) == 0
    assert json.loads(went_on.output)["label"] == ""


def test_a_run_cancelled_from_elsewhere(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")

    assert "will be cancelled" in cli("cancel", "x").output
    [(beats,)] = cli.query("SELECT counter FROM perdure.processes")
    eventually(lambda: cli.query("SELECT counter FROM perdure.processes")[0][0] > beats + 1)
    cli.let_go()

    assert first.wait(20) == 78
    assert "was cancelled" in first.errors
    cli(*RUN, code=78)


def test_a_run_deleted_meanwhile(cli: Cli) -> None:
    first = cli.start(*RUN)
    cli.wait_for("hold 1")

    refused = cli("delete", "x", code=1)
    cli("delete", "x", "--force")
    cli.let_go()

    assert "has not ended" in refused.errors
    assert first.wait(20) == 1
    assert "deleted" in first.errors


def test_a_command_that_follows_reads_no_values_and_no_step_twice(cli: Cli) -> None:
    """Values of steps are far larger than what is shown, and a step that was shown does not change."""
    first = cli.start("run", "flows.py:many_pages", "--id", "x")
    cli.wait_for("hold 1")
    values = "SELECT toast_blks_read + toast_blks_hit FROM pg_statio_user_tables WHERE relname = 'steps'"
    looks = "SELECT idx_scan FROM pg_stat_user_tables WHERE relname = 'runs'"
    rows = "SELECT idx_tup_fetch + seq_tup_read FROM pg_stat_user_tables WHERE relname = 'steps'"

    def settled(query: str) -> int:
        """A figure that the server's processes have all reported: they do so once a second at most."""
        before = cli.query(query)[0][0]
        eventually(lambda: cli.query(looks)[0][0] > seen + 10, 20)
        return int(cli.query(query)[0][0] - before)

    seen = cli.query(looks)[0][0]
    assert settled(values) == 0, "nobody reads values while nobody looks"
    second = cli.start("run", "flows.py:many_pages", "--id", "x")
    eventually(lambda: "following it" in second.errors, 15)
    seen = cli.query(looks)[0][0]
    assert settled(values) == 0
    seen = cli.query(looks)[0][0]
    assert settled(rows) <= 40

    cli.let_go()
    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert second.errors.count(": done, recorded by attempt 1") == 22
