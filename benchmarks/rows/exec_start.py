"""How long `perdure exec` takes from the start of its process to its first step."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterable

from benchmarks.contestants.floor import claimed_run
from benchmarks.ground import Database, Ground
from benchmarks.table import Row, paired

_BARE = "import psycopg, pydantic, time; print(time.monotonic())"
_LOADED = "import psycopg, pydantic, time; pydantic.TypeAdapter; psycopg.connect; print(time.monotonic())"


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    database = ground.perdure()
    _exec(ground, database)  # compiles what is imported
    _python(ground, _LOADED)
    taken = paired(
        3 * rounds,
        ours=lambda: {"ms": _exec(ground, database)},
        bare=lambda: {"ms": _python(ground, _BARE)},
        loaded=lambda: {"ms": _python(ground, _LOADED)},
    )
    ours, bare, loaded = (taken[name]["ms"] for name in ("ours", "bare", "loaded"))
    more = ours.minus(bare)
    yield Row(
        "`perdure exec`, process start to first step",
        ours.text("ms"),
        f"Python importing psycopg and pydantic {bare.text('ms')}; with `TypeAdapter` used {loaded.text('ms')}",
        f"{more.text('ms')} more",
        "80 ms more",
        more.median <= 80,
    )


def _exec(ground: Ground, database: Database) -> float:
    with database.connect() as connection:
        run, claim = claimed_run(connection, "benchmarks.contestants.moments:first_step", begin=False)
    variables = {"PERDURE_DATABASE_URL": database.url, "PERDURE_RUN_ID": str(run), "PERDURE_CLAIM": str(claim)}
    begun = time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "perdure.cli", "exec"],
        check=True,
        env=ground.environment(**variables),
        cwd=ground.workspace.folder,
    )
    [(first,)] = database.query("SELECT result::text FROM perdure.runs WHERE id = %s", run)
    return (float(first) - begun) * 1e3


def _python(ground: Ground, code: str) -> float:
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=ground.environment(),
        cwd=ground.workspace.folder,
    )
    return (float(done.stdout) - begun) * 1e3
