"""The least that there is to do: the fenced statements themselves, prepared, in bare psycopg loops."""

from __future__ import annotations

import time
from collections.abc import Iterable
from uuid import UUID, uuid4

import psycopg

from perdure.store.schema.versions import CLIENT_VERSION

_WARM = 50
_ONE = "SELECT perdure.checkpoint(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
_MANY = "SELECT perdure.checkpoints(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


def steps(url: str, steps: int) -> dict[str, float]:
    """One checkpoint after the other, for one run."""
    with psycopg.connect(url, autocommit=True) as connection:
        run, token = claimed_run(connection)
        cursor = connection.cursor()
        started = cpu = 0.0
        for number in range(-_WARM, steps):
            if number == 0:
                started, cpu = time.perf_counter(), time.process_time()
            ordinal = number + _WARM
            given = (run, token, f"plain#{ordinal}", ordinal, "plain", 1, 0, 10, "1", None)
            cursor.execute(_ONE, given, prepare=True)
            assert cursor.fetchone() == (0,)
        return _figures(steps, started, cpu)


def batches(url: str, runs: int, steps: int) -> dict[str, float]:
    """A checkpoint of each run in one statement, `steps` times. What does not change is written beforehand."""
    with psycopg.connect(url, autocommit=True) as connection:
        claimed = [claimed_run(connection) for _ in range(runs)]
        ids, tokens = (_array(map(str, column)) for column in zip(*claimed, strict=True))
        names, tries, micros = (_array([value] * runs) for value in ("plain", "1", "10"))
        results, errors = (_array([value] * runs) for value in ("1", "NULL"))
        cursor = connection.cursor()
        started = cpu = 0.0
        for number in range(-_WARM, steps):
            if number == 0:
                started, cpu = time.perf_counter(), time.process_time()
            keys, ordinals = (_array([value] * runs) for value in (f"plain#{number + _WARM}", str(number + _WARM)))
            given = (ids, tokens, keys, ordinals, names, tries, ordinals, micros, results, errors)
            cursor.execute(_MANY, given, prepare=True)
            answers = cursor.fetchone()
            assert answers is not None
            assert not any(answers[0])
        return _figures(steps * runs, started, cpu)


def claimed_run(
    connection: psycopg.Connection, entrypoint: str = "none:none", *, begin: bool = True
) -> tuple[UUID, UUID]:
    """A run as an operator claims it, begun unless that is left to others: its id, and its token or its claim."""
    run, claim = uuid4(), uuid4()
    connection.execute(
        "INSERT INTO perdure.runs (id, owner, name, entrypoint, input, attempt, claim)"
        " VALUES (%s, 'queue:floor', %s, %s, '{}', 1, %s)",
        [run, str(run), entrypoint, claim],
    )
    connection.execute("INSERT INTO perdure.attempts (run_id, attempt, claim) VALUES (%s, 1, %s)", [run, claim])
    if not begin:
        return run, claim
    given = [run, claim, uuid4(), CLIENT_VERSION]
    begun = connection.execute("SELECT token FROM perdure.begin(%s, %s, %s, %s, 'host', 1, 1, NULL)", given).fetchone()
    assert begun is not None
    return run, begun[0]


def _array(values: Iterable[str]) -> str:
    return "{" + ",".join(values) + "}"


def _figures(steps: int, started: float, cpu: float) -> dict[str, float]:
    seconds, used = time.perf_counter() - started, time.process_time() - cpu
    return {"per_second": steps / seconds, "cpu_ms": used / steps * 1e3}
