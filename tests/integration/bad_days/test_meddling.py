"""A database that somebody changes while runs are under way: migrated, misconfigured, its schema or its rights gone."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from perdure import run_step, workflow
from perdure.attempt_results import Failed, Released, Succeeded, Superseded
from perdure.store.schema.migrate import grants_sql, migrate
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.postgres import Server
from tests.integration.engine.attempts import Run

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def _without_end(made: Fleet) -> list[Released | Superseded]:
    """The attempts of a fleet, each of which left its run to another one."""
    left = [one for one in made.endings.values() if isinstance(one, Released | Superseded)]
    assert len(left) == len(made.endings), made.endings
    return left


def test_migrated_meanwhile(database: Database, fleet: MakeFleet) -> None:
    """Plans that were cached for the old tables and functions are of no use any more."""
    made = fleet(database, steps=80).start()
    made.reach(0.1)
    for number, share in enumerate((0.2, 0.35, 0.5, 0.65)):
        with psycopg.connect(database.url, autocommit=True) as connection:
            for table in ("runs", "steps", "attempts", "processes", "meta"):
                connection.execute(f"ALTER TABLE perdure.{table} ADD COLUMN later_{number} text DEFAULT 'x'")
            connection.execute("CREATE INDEX CONCURRENTLY ON perdure.steps (finished)")
            functions = connection.execute(
                "SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace"
            ).fetchall()
            for (definition,) in functions:
                connection.execute(definition)
            connection.execute("ALTER TABLE perdure.steps ALTER COLUMN name TYPE varchar")
            connection.execute("ALTER TABLE perdure.steps ALTER COLUMN name TYPE text")
        made.reach(share)
    made.wait()
    made.check()


@pytest.mark.parametrize(
    "settings",
    [
        ["default_transaction_isolation = 'serializable'", "plan_cache_mode = 'force_custom_plan'"],
        ["default_transaction_isolation = 'repeatable read'", "search_path = 'nowhere'", "row_security = off"],
        # Shorter than a body takes, and longer than a busy machine keeps the test's own sessions waiting.
        ["idle_session_timeout = '150ms'", "idle_in_transaction_session_timeout = '150ms'"],
        ["standard_conforming_strings = off", "DateStyle = 'German'", "extra_float_digits = 0"],
    ],
    ids=lambda settings: settings[0].partition(" ")[0],
)
def test_settings_of_the_role(database: Database, fleet: MakeFleet, settings: list[str]) -> None:
    for setting in settings:
        database.query(f"ALTER DATABASE {database.name} SET {setting}")
    made = fleet(database, steps=10, alone=1, threads=1, loop=1, body=0.2).start()
    made.wait()
    made.check()


def test_an_encoding_of_the_role_spoils_no_text(database: Database) -> None:
    database.query(f"ALTER DATABASE {database.name} SET client_encoding = 'LATIN1'")

    @workflow
    def flow() -> str:
        return run_step("grüßen", lambda: "żółć")

    @workflow
    async def async_flow() -> str:
        async def greet() -> str:
            return "żółć"

        return await run_step("grüßen", greet)

    for one in (flow, async_flow):
        run = Run(database.url, one)
        assert run.attempt() == Succeeded('"żółć"')
        with database.connect(client_encoding="UTF8") as connection:
            rows = connection.execute("SELECT step_key, result FROM perdure.steps WHERE run_id = %s", [run.id])
            assert rows.fetchall() == [("grüßen", "żółć")]


def test_statements_that_take_too_long_for_the_role_are_asked_again(database: Database, fleet: MakeFleet) -> None:
    database.query(f"ALTER DATABASE {database.name} SET statement_timeout = '50ms'")
    made = fleet(database, steps=40).start()
    made.reach(0.2)
    with psycopg.connect(database.url) as holder:
        holder.execute("SET statement_timeout = 0")
        holder.execute("LOCK TABLE perdure.steps IN ACCESS EXCLUSIVE MODE")
        holder.execute("SELECT pg_sleep(1)")
        holder.rollback()
    made.wait()
    made.check()


@pytest.fixture
def role(own_server: Server, own_database: Database) -> str:
    """A login that has what pods have, and the rights to claim in this test."""
    migrate(own_database.url, pod_role="pods")
    own_server.query("ALTER ROLE pods LOGIN")
    _let_claim(own_database, "pods")
    return "pods"


def _let_claim(database: Database, role: str) -> None:
    database.query(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA perdure TO {role}")
    database.query(f"GRANT EXECUTE ON FUNCTION perdure.channel, perdure.notify, perdure.cleanup_left TO {role}")


def test_rights_that_are_revoked_meanwhile(own_database: Database, role: str, fleet: MakeFleet) -> None:
    made = fleet(own_database, url=own_database.url_as(role)).start()
    made.reach(0.3)
    own_database.query(f"REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA perdure FROM {role}")
    made.wait()
    said = {ending.why for ending in _without_end(made)}
    assert all("permission denied for function" in text and "may this role use it?" in text for text in said), said
    own_database.query(grants_sql(role))
    _let_claim(own_database, role)
    made.go_on()
    made.check(repeated=len(made.runs))


def test_a_schema_that_is_moved_away_meanwhile(own_database: Database, fleet: MakeFleet) -> None:
    made = fleet(own_database).start()
    made.reach(0.3)
    own_database.query("ALTER SCHEMA perdure RENAME TO elsewhere")
    eventually(lambda: len(made.endings) == len(made.runs), 20)
    made.wait()
    said = {ending.why for ending in _without_end(made)}
    assert all("the store refuses a checkpoint" in text and "is its schema there" in text for text in said), said
    own_database.query("ALTER SCHEMA elsewhere RENAME TO perdure")
    made.go_on()
    made.check(repeated=len(made.runs))


def test_a_schema_that_is_dropped_and_made_anew_meanwhile(own_database: Database, fleet: MakeFleet) -> None:
    """Nothing of the runs is left: their attempts learn that they are gone, and write nothing into the new one."""
    made = fleet(own_database).start()
    made.reach(0.3)
    with psycopg.connect(own_database.url) as connection:
        connection.execute("SET lock_timeout = '5s'")
        connection.execute("DROP SCHEMA perdure CASCADE")
    migrate(own_database.url)
    made.wait()
    said = {ending.why for ending in _without_end(made)}
    assert all("or it was deleted" in text or "is its schema there" in text for text in said), said
    assert made.stored() == set()


def test_a_value_that_a_constraint_of_somebody_refuses(own_database: Database, fleet: MakeFleet) -> None:
    """It fails its own run, which says why; the others in its batches go on."""
    made = fleet(own_database, steps=40).start()
    made.reach(0.2)
    poisoned = [made.alone[0].id, made.threads[0].id, made.loop[0].id, made.loop[1].id]
    listed = ", ".join(f"'{run}'" for run in poisoned)
    own_database.query(
        f"ALTER TABLE perdure.steps ADD CONSTRAINT no_thirties CHECK"
        f" (result IS NULL OR result::text NOT LIKE '3%' OR run_id NOT IN ({listed})) NOT VALID"
    )
    made.wait()
    for run in made.runs:
        ending = made.endings[run.id]
        assert isinstance(ending, Failed if run.id in poisoned else Succeeded)
        if isinstance(ending, Failed):
            assert "Postgres refuses the value" in str(ending.raised)
            assert "no_thirties" in str(ending.raised)
