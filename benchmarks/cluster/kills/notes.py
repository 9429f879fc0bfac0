"""What the load's steps note of themselves, in tables and functions of the campaign's own beside the store.

The functions look into the store at the same moment, as its owner, for pods may read no table: whether the step that
begins has a checkpoint already, and whether the attempt still holds its run. So no clock decides what came first.
"""

from __future__ import annotations

from typing import LiteralString

from tests.cluster.product.database import Store

__all__ = ["prepare"]

_STATEMENTS: tuple[LiteralString, ...] = (
    "CREATE SCHEMA noted",
    """
    CREATE TABLE noted.executions (
        id         uuid PRIMARY KEY,
        run_id     uuid NOT NULL,
        step_key   text NOT NULL,
        attempt    integer NOT NULL,
        kept_of    integer,          -- the attempt whose checkpoint of this step was there when it began
        held       boolean NOT NULL, -- whether its attempt held the run when it began
        done       boolean NOT NULL DEFAULT false,
        held_done  boolean           -- whether its attempt held the run when it was done
    )
    """,
    "CREATE TABLE noted.bookings (run_id uuid NOT NULL, step_key text NOT NULL)",
    """
    CREATE FUNCTION noted.held(run uuid, attempt_ integer) RETURNS boolean
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $$
        SELECT EXISTS (SELECT FROM perdure.runs r WHERE r.id = run AND r.attempt = attempt_ AND r.claim IS NOT NULL)
    $$
    """,
    # A note whose answer was lost is made again, and counts once.
    """
    CREATE FUNCTION noted.begins(execution uuid, run uuid, key text, attempt_ integer) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        INSERT INTO noted.executions (id, run_id, step_key, attempt, kept_of, held)
        SELECT execution, run, key, attempt_,
               (SELECT s.attempt FROM perdure.steps s WHERE s.run_id = run AND s.step_key = key),
               noted.held(run, attempt_)
        ON CONFLICT DO NOTHING
    $$
    """,
    """
    CREATE FUNCTION noted.done(execution uuid) RETURNS void
    LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $$
        UPDATE noted.executions e SET done = true, held_done = noted.held(e.run_id, e.attempt)
        WHERE e.id = execution AND NOT e.done
    $$
    """,
    "GRANT USAGE ON SCHEMA noted TO perdure_pods",
    "GRANT INSERT ON noted.bookings TO perdure_pods",
)


def prepare(store: Store) -> None:
    """Make tables and functions anew."""
    store.rows("DROP SCHEMA IF EXISTS noted CASCADE")
    for statement in _STATEMENTS:
        store.rows(statement)
