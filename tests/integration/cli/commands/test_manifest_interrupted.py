"""`perdure run FILE.yaml` that is interrupted, killed or called twice: the run goes on from its last step, once."""

from __future__ import annotations

import json
import signal
import subprocess
from uuid import UUID, uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.names import Claim, RunId
from perdure.process.identity import host_identity, process_started, this_process
from perdure.store.attempts.attempts import AttemptStore
from perdure.store.postgres.opener import Opener
from perdure.store.postgres.process_identity import ProcessIdentity
from perdure.store.runs.manifests import ManifestRunStore
from perdure.store.runs.model import MANIFEST_OWNER
from perdure.store.runs.runs import NewRun
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.processes import Child, alive, signal_all
from tests.integration.cli.conftest import Cli
from tests.integration.cli.manifests import Manifests, reason

LONG = "600"
"""A lease so long that only a death that was seen can be the reason."""


@pytest.fixture
def manifests(cli: Cli) -> Manifests:
    return Manifests(cli)


def held(manifests: Manifests, lease: str = LONG) -> Child:
    """A command whose run is in the middle of a step."""
    manifests.write("flows:held")
    child = manifests.cli.start("run", "w.yaml", PERDURE_LEASE_SECONDS=lease)
    manifests.cli.wait_for("hold 1")
    return child


def again(manifests: Manifests, *, code: int = 0, lease: str = LONG) -> Child:
    return manifests.cli("run", "w.yaml", code=code, PERDURE_LEASE_SECONDS=lease)


def test_ctrl_c_finishes_the_step_and_says_how_to_go_on(manifests: Manifests) -> None:
    first = held(manifests)

    first.signal_group(signal.SIGINT)
    eventually(lambda: "stopping after the step in flight" in first.errors)
    manifests.cli.let_go("drain", "go")

    assert first.wait(20) == 130
    (manifests.cli.folder / "drain").unlink()
    assert "go on with: perdure run w.yaml" in first.errors
    assert json.loads(again(manifests).output) == [1, 1, 2]
    assert manifests.cli.log() == ["count 1", "hold 1", "count 2"]


def test_ctrl_c_twice_stops_at_once(manifests: Manifests) -> None:
    first = held(manifests)

    first.signal_group(signal.SIGINT)
    eventually(lambda: "stopping after the step in flight" in first.errors)
    first.signal_group(signal.SIGINT)

    assert first.wait(10) == 130
    manifests.cli.let_go()
    assert json.loads(again(manifests).output) == [1, 2, 2]
    assert manifests.attempts() == [(1, "released"), (2, "completed")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop_otherwise(manifests: Manifests, number: signal.Signals) -> None:
    first = held(manifests)

    first.signal(number)
    manifests.cli.let_go("drain", "go")

    assert first.wait(20) == 75


def test_ctrl_c_while_a_delay_is_waited_out(manifests: Manifests) -> None:
    first = manifests.start("flows:crashing", input={"until": 9})
    eventually(lambda: "the next one starts 2 s" in first.errors, 30)

    first.signal_group(signal.SIGINT)

    assert first.wait(10) == 130
    assert manifests.cli.query("SELECT state, claim FROM perdure.runs") == [("pending", None)]


def test_killed_with_its_group_it_goes_on_at_once(manifests: Manifests) -> None:
    first = held(manifests)
    everybody = [first.pid, *first.descendants()]
    assert len(everybody) == 3

    signal_all(everybody, signal.SIGKILL)
    first.wait()
    manifests.cli.let_go()

    second = again(manifests)
    assert json.loads(second.output) == [1, 2, 2]
    assert "attempt 1 ended (lost): its process (pid" in second.errors
    assert manifests.cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def test_killed_alone_it_takes_its_processes_along(manifests: Manifests) -> None:
    first = held(manifests)
    below = first.descendants()

    first.kill()

    eventually(lambda: not any(alive(pid) for pid in below))
    manifests.cli.let_go()
    assert json.loads(again(manifests).output) == [1, 2, 2]


def test_a_killed_supervisor_is_a_crash(manifests: Manifests) -> None:
    first = held(manifests)
    supervisor, child = first.descendants()

    signal_all([supervisor], signal.SIGKILL)
    eventually(lambda: not alive(child))
    manifests.cli.let_go()

    assert first.wait(20) == 0
    assert json.loads(first.output) == [1, 2, 2]
    assert "attempt 1 ended (crashed): its container was killed by SIGKILL" in first.errors
    assert manifests.attempts() == [(1, "crashed"), (2, "completed")]


def test_a_killed_user_process_is_a_crash(manifests: Manifests) -> None:
    first = held(manifests)
    _, child = first.descendants()

    signal_all([child], signal.SIGKILL)
    eventually(lambda: not alive(child))
    manifests.cli.let_go()

    assert first.wait(20) == 0
    assert json.loads(first.output) == [1, 2, 2]
    assert manifests.attempts() == [(1, "crashed"), (2, "completed")]


def test_the_same_command_twice_runs_it_once_and_both_tell_the_result(manifests: Manifests) -> None:
    first = held(manifests)
    second = manifests.cli.start("run", "w.yaml", "-o", "json")
    eventually(lambda: "runs in another process" in second.errors, 20)
    manifests.cli.let_go()

    assert (first.wait(20), second.wait(20)) == (0, 0)
    assert json.loads(first.output) == json.loads(second.output)["status"]["result"] == [1, 1, 2]
    assert manifests.cli.log() == ["count 1", "hold 1", "count 2"]


def test_many_commands_at_once_start_one_run(manifests: Manifests) -> None:
    manifests.write("flows:counting")
    commands = [manifests.cli.start("run", "w.yaml") for _ in range(4)]

    assert [command.wait(40) for command in commands] == [0] * 4
    assert manifests.cli.log() == ["count 0", "count 1", "count 2"]
    assert manifests.cli.query("SELECT count(*) FROM perdure.runs") == [(1,)]


def test_two_manifests_at_once(manifests: Manifests) -> None:
    manifests.write("flows:held", file="a.yaml", name="a")
    manifests.write("flows:counting", file="b.yaml", name="b")
    first = manifests.cli.start("run", "a.yaml")
    manifests.cli.wait_for("hold 1")

    assert json.loads(manifests.cli("run", "b.yaml").output)["sum"] == 3
    manifests.cli.let_go()

    assert first.wait(20) == 0


def test_a_paused_process_is_taken_over_after_its_lease(manifests: Manifests) -> None:
    first = held(manifests, "2")
    everybody = [first.pid, *first.descendants()]
    signal_all(everybody, signal.SIGSTOP)
    manifests.cli.let_go()

    second = again(manifests, lease="2")
    signal_all(everybody, signal.SIGCONT)

    assert "gave no sign of life" in second.errors
    assert json.loads(second.output) == [1, 2, 2]
    assert first.wait(20) == 0
    assert json.loads(first.output) == [1, 2, 2]
    assert manifests.cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def test_a_follower_takes_over_when_the_other_is_killed(manifests: Manifests) -> None:
    first = held(manifests)
    second = manifests.cli.start("run", "w.yaml", PERDURE_LEASE_SECONDS=LONG)
    eventually(lambda: "runs in another process" in second.errors, 20)

    signal_all([first.pid, *first.descendants()], signal.SIGKILL)
    manifests.cli.let_go()

    assert second.wait(20) == 0
    assert manifests.cli.log() == ["count 1", "hold 1", "hold 2", "count 2"]


def inserted(database: Database) -> tuple[ManifestRunStore, UUID]:
    """The run of w.yaml, as a command leaves it that dies after that."""
    store = ManifestRunStore(database.url)
    run = NewRun(uuid4(), MANIFEST_OWNER, "w", "flows:counting", "{}", namespace="default")
    return store, store.insert_manifest(run).run_id


def test_killed_between_insert_and_claim(manifests: Manifests, database: Database) -> None:
    store, _ = inserted(database)
    store.close()

    assert json.loads(manifests.run("flows:counting").output)["sum"] == 3
    assert manifests.cli.query("SELECT count(*) FROM perdure.runs") == [(1,)]


def test_killed_between_claim_and_begin_the_same_attempt_begins_at_once(
    manifests: Manifests, database: Database
) -> None:
    store, run = inserted(database)
    command = subprocess.Popen(["sleep", "60"])
    claimer = ProcessIdentity(uuid4(), host_identity(), command.pid, process_started(command.pid) or 0)
    assert store.claim(run, 0, claimer)
    store.close()
    command.kill()
    command.wait()

    assert again_counting(manifests) == 3
    assert manifests.attempts() == [(1, "completed")]


def test_killed_between_claim_and_its_note_it_begins_after_a_lease(manifests: Manifests, database: Database) -> None:
    store, run = inserted(database)
    assert store.claim(run, 0, ProcessIdentity(uuid4(), "another@boot.1", 1, 1))
    store.close()

    assert again_counting(manifests, lease="1") == 3
    assert manifests.attempts() == [(1, "completed")]


def test_what_a_person_stopped_often_goes_on_without_delay(manifests: Manifests, database: Database) -> None:
    store, run = inserted(database)
    attempts = AttemptStore(Opener(database.url))
    for attempt in range(5):
        claim = store.claim(run, attempt, this_process())
        assert claim is not None
        attempts.end_attempt(RunId(run), claim, AttemptEnd.RELEASED)
    assert manifests.cli.query("SELECT delay FROM perdure.runs") == [(8.0,)]
    store.close()
    attempts.close()

    assert "the next one starts" not in manifests.run("flows:counting").errors


def again_counting(manifests: Manifests, lease: str = LONG) -> int:
    manifests.write("flows:counting")
    total: int = json.loads(again(manifests, lease=lease).output)["sum"]
    return total


def test_a_claimer_that_wakes_up_late_follows(manifests: Manifests, database: Database) -> None:
    store, run = inserted(database)
    live = subprocess.Popen(["sleep", "60"])
    try:
        claimer = ProcessIdentity(uuid4(), host_identity(), live.pid, process_started(live.pid) or 0)
        claim = store.claim(run, 0, claimer)
        assert claim is not None
        manifests.write("flows:counting")
        waiting = manifests.cli.start("run", "w.yaml", PERDURE_LEASE_SECONDS="1")
        assert waiting.wait(30) == 0
        late = manifests.cli.start(
            "exec", PERDURE_RUN_ID=str(run), PERDURE_CLAIM=str(Claim(claim)), PERDURE_LEASE_SECONDS="1"
        )
        assert late.wait(20) in (76, 77)
        assert manifests.cli.log() == ["count 0", "count 1", "count 2"]
    finally:
        store.close()
        live.kill()
        live.wait()


def test_cancelled_from_elsewhere(manifests: Manifests) -> None:
    first = held(manifests, "2")

    assert "will be cancelled" in manifests.cli("cancel", "w").output
    [(beats,)] = manifests.cli.query("SELECT counter FROM perdure.processes")
    eventually(lambda: manifests.cli.query("SELECT counter FROM perdure.processes")[0][0] > beats + 1)
    manifests.cli.let_go()

    assert first.wait(20) == 78
    assert "was cancelled" in first.errors
    assert reason(manifests.status(code=78)) == "Cancelled"


def test_deleted_meanwhile(manifests: Manifests) -> None:
    first = held(manifests, "2")

    refused = manifests.cli("delete", "w", code=1)
    manifests.cli("delete", "w", "--force")
    manifests.cli.let_go()

    assert "has not ended" in refused.errors
    assert first.wait(20) == 1
    assert "it was deleted meanwhile" in first.errors


def test_the_store_away_for_a_while(manifests: Manifests, own_database: Database) -> None:
    manifests.cli.environment["PERDURE_DATABASE_URL"] = own_database.url
    first = held(manifests, "2")

    own_database.server.stop()
    manifests.cli.let_go()
    own_database.server.start()

    assert first.wait(30) == 0
    assert json.loads(first.output) == [1, 1, 2]
    assert manifests.cli.log() == ["count 1", "hold 1", "count 2"]
