"""1,000 runs of ten steps, their process killed in the sixth: how long until a fresh process has finished them all.

The state after the kill is made once and copied for every round. The fresh process starts with nothing; its start,
imports included, counts. Every body that begins leaves a line in a file, from which follows which steps ran again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from subprocess import Popen

from benchmarks.contestants import flows
from benchmarks.ground import Database, Ground
from benchmarks.table import Row, paired
from perdure.client import Client
from tests.harness.eventually import eventually

_RUNS = 1000
_STEPS = 10
_STALL_AT = 5
_PERDURE_DONE = "SELECT count(*), extract(epoch FROM max(finished))::float8 FROM perdure.runs WHERE state = 'succeeded'"
_DBOS_DONE = "SELECT count(*), max(updated_at)::float8 / 1000 FROM dbos.workflow_status WHERE status = 'SUCCESS'"
Log = Counter[tuple[int, int]]


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    ours, our_log = _killed_perdure(ground)
    dbos, dbos_log = _killed_dbos(ground)
    taken = paired(
        rounds,
        ours=lambda: _recovery(ground, ours, our_log, "ours:worker", {}, _PERDURE_DONE),
        dbos=lambda: _recovery(ground, dbos, dbos_log, "dbos_peer:recover", {"runs": 0}, _DBOS_DONE),
        standby=lambda: _standby(ground),
    )
    seconds, dbos_seconds = taken["ours"]["seconds"], taken["dbos"]["seconds"]
    ratio = dbos_seconds.over(seconds)
    killed = f"{_RUNS:,} runs of {_STEPS} steps, killed in step {_STALL_AT + 1}"
    work = f"{killed}: from the start of a fresh process to all done"
    yield Row(work, seconds.text("s", 2), "", "", "3 s", seconds.median <= 3)
    yield Row(work, "", f"dbos {dbos_seconds.text('s', 1)}", ratio.text(digits=1), "8", ratio.median >= 8)
    again = sum(sum(one["again"].values) for one in taken.values() if "again" in one)
    ours_again = sum(taken["ours"]["again"].values) + sum(taken["standby"]["again"].values)
    yield Row(
        "checkpointed steps that ran again",
        f"{ours_again:.0f}",
        f"dbos {again - ours_again:.0f}",
        "",
        "0",
        ours_again == 0,
    )
    yield Row(
        f"{killed}, another worker standing by: from SIGKILL to all done",
        taken["standby"]["seconds"].text("s", 2),
        f"from the moment they could be claimed {taken['standby']['claimable'].text('s', 2)}",
    )


def _recovery(
    ground: Ground, killed: Database, before: Log, contestant: str, given: dict[str, int], done: str
) -> dict[str, float]:
    database = ground.copy(killed)
    log = ground.workspace.new_folder("log") / "log"
    begun = time.time()
    with ground.start(contestant, variables={"BENCH_LOG": str(log)}, url=database.url, **given) as process:
        try:
            ended = _until_done(database, done)
        finally:
            process.kill()
    if done == _PERDURE_DONE:
        _check_rows(database)
    ground.drop(database)
    return {"seconds": ended - begun, "again": _ran_again(before, _read(log))}


def _standby(ground: Ground) -> dict[str, float]:
    database = ground.perdure()
    folder = ground.workspace.new_folder("log")
    log, standby_log = folder / "log", folder / "standby"
    with (
        _stalled(ground, database, log) as doomed,
        ground.start("ours:worker", variables={"BENCH_LOG": str(standby_log)}, url=database.url) as standby,
    ):
        try:
            # It has looked around once it listens.
            eventually(lambda: database.query(_LISTENING)[0][0] >= 2, 30)
            killed = time.time()
            doomed.kill()
            ended = _until_done(database, _PERDURE_DONE)
        finally:
            standby.kill()
    _check_rows(database)
    [(claimable,)] = database.query("SELECT extract(epoch FROM min(available))::float8 FROM perdure.runs")
    ground.drop(database)
    again = _ran_again(_read(log), _read(standby_log))
    return {"seconds": ended - killed, "claimable": ended - max(claimable, killed), "again": again}


_LISTENING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'"


def _check_rows(database: Database) -> None:
    """The first attempt's checkpoints are as it left them; the second wrote the others."""
    [(right,)] = database.query("SELECT count(*) FROM perdure.steps WHERE attempt = 1 + (ordinal > %s)::int", _STALL_AT)
    assert right == _RUNS * _STEPS, "an attempt wrote what another had"


def _killed_perdure(ground: Ground) -> tuple[Database, Log]:
    database = ground.perdure()
    log = ground.workspace.new_folder("log") / "log"
    with _stalled(ground, database, log) as worker:
        worker.kill()
    free = "SELECT count(*) FROM perdure.runs WHERE state = 'pending' AND claim IS NULL"
    eventually(lambda: database.query(free) == [(_RUNS,)], 60)
    ground.server.terminate(database.name)
    return database, _read(log)


def _stalled(ground: Ground, database: Database, log: Path) -> Popen[str]:
    """A worker whose runs all hang in the same step."""
    with Client(database.url) as client:
        for run in range(_RUNS):
            client.start(flows.ten_steps, run)
    variables = {"BENCH_LOG": str(log), "BENCH_STALL_AT": str(_STALL_AT)}
    worker = ground.start("ours:worker", variables=variables, url=database.url)
    stored = "SELECT count(*) FROM perdure.steps"
    eventually(lambda: _stalled_all(log) and database.query(stored) == [(_RUNS * _STALL_AT,)], 120, every=0.1)
    return worker


def _killed_dbos(ground: Ground) -> tuple[Database, Log]:
    database = ground.dbos()
    log = ground.workspace.new_folder("log") / "log"
    variables = {"BENCH_LOG": str(log), "BENCH_STALL_AT": str(_STALL_AT)}
    with ground.start("dbos_peer:recover", variables=variables, url=database.url, runs=_RUNS) as process:
        eventually(lambda: _stalled_all(log), 300, every=0.5)
        process.kill()
    ground.server.terminate(database.name)
    return database, _read(log)


def _stalled_all(log: Path) -> bool:
    return log.exists() and sum(number == _STALL_AT for _, number in _read(log)) == _RUNS


def _until_done(database: Database, statement: str) -> float:
    """When the last run had ended, by the clock of this machine."""
    with database.connect() as connection:

        def ended() -> float:
            [(count, last)] = connection.execute(statement).fetchall()
            return float(last) if count == _RUNS else 0.0

        return eventually(ended, 300, every=0.05)


def _read(log: Path) -> Log:
    return Counter((int(run), int(number)) for run, number in map(str.split, log.read_text().splitlines()))


def _ran_again(before: Log, after: Log) -> float:
    """How many bodies ran that had run to their end before; whether all that were left ran is asserted."""
    assert sum(before.values()) == _RUNS * (_STALL_AT + 1), (
        "the first process ran each step once, up to where it stalled"
    )
    assert all(after[run, number] == 1 for run in range(_RUNS) for number in range(_STALL_AT, _STEPS))
    return float(sum(count for (_, number), count in after.items() if number < _STALL_AT))
