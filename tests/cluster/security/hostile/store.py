"""What one may try with the login of pods, by SQL of one's own."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterable
from contextlib import nullcontext
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import make_conninfo

from perdure import step, step_context

from .attempts import Told, last_words, outcome

Session = psycopg.Connection[tuple[object, ...]]

TABLES = ("runs", "steps", "attempts", "processes", "meta", "alembic_version")
OF_TABLES = (
    "SELECT * FROM {}",
    "SELECT count(*) FROM {}",
    "INSERT INTO {} DEFAULT VALUES",
    "DELETE FROM {}",
    "TRUNCATE {}",
    "LOCK TABLE {} IN ACCESS SHARE MODE",
    "COPY {} TO STDOUT",
    "ALTER TABLE {} ADD mine text",
    "ALTER TABLE {} OWNER TO CURRENT_USER",
    "CREATE INDEX mine ON {} ((1))",
    "GRANT SELECT ON {} TO PUBLIC",
    "DROP TABLE {}",
)
OF_ROWS = (
    "UPDATE perdure.runs SET attempt = attempt + 1",
    "UPDATE perdure.runs SET claim = gen_random_uuid()",
    "UPDATE perdure.runs SET cancel = true",
    "UPDATE perdure.runs SET backoff_limit = 1000000, crashes = 0, deadline_seconds = NULL",
    "UPDATE perdure.attempts SET attempt = 2",
    "UPDATE perdure.steps SET result = 'null'",
    "UPDATE perdure.processes SET counter = counter + 1",
    "UPDATE perdure.meta SET store_id = gen_random_uuid()",
)
OF_SCHEMA = (
    "CREATE TABLE perdure.mine (x int)",
    "CREATE TABLE public.mine (x int)",
    "CREATE TABLE perdure_shared.mine (x int)",
    "CREATE TEMPORARY TABLE mine (x int)",
    "CREATE SCHEMA mine",
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE FUNCTION perdure.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "ALTER FUNCTION perdure.load SECURITY INVOKER",
    "ALTER SCHEMA perdure OWNER TO CURRENT_USER",
    "DROP FUNCTION perdure.load",
    "DROP SCHEMA perdure CASCADE",
    "CREATE TRIGGER mine AFTER INSERT ON perdure.steps EXECUTE FUNCTION perdure.load()",
    "CREATE PUBLICATION mine FOR TABLE perdure.steps",
    "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION mine()",
    "SELECT perdure.channel('done', 'cluster:1')",
    "SELECT perdure.timeline()",
)
OF_ROLES = (
    "SET ROLE perdure",
    "SET ROLE perdure_shared",
    "SET SESSION AUTHORIZATION perdure",
    "SET ROLE pg_read_all_data",
    "GRANT perdure TO CURRENT_USER",
    "GRANT pg_read_all_data TO CURRENT_USER",
    "CREATE ROLE mine",
    "ALTER ROLE CURRENT_USER SUPERUSER",
    "ALTER ROLE perdure PASSWORD 'mine'",
    "CREATE DATABASE mine",
    "SELECT * FROM pg_authid",
    "SELECT * FROM pg_shadow",
    "SELECT * FROM pg_hba_file_rules",
    "SELECT * FROM pg_largeobject",
    "SELECT * FROM pg_statistic",
)
OF_SERVER = (
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "SELECT pg_read_file('postgresql.auto.conf')",
    "SELECT pg_read_binary_file('global/pg_control')",
    "SELECT pg_ls_dir('.')",
    "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '/tmp/mine')",
    "SELECT count(lo_create(g::oid)) FROM generate_series(1, 100000) AS g",
    "SELECT count(pg_advisory_lock(g)) FROM generate_series(1, 100000) AS g",
    "SELECT count(pg_try_advisory_xact_lock_shared(g)) FROM generate_series(1, 100000) AS g",
    "LOAD '/tmp/mine.so'",
    "SHOW data_directory",
    "ALTER SYSTEM SET log_statement = 'all'",
    "SET log_statement = 'all'",
    "SET session_replication_role = 'replica'",
    "SELECT pg_reload_conf()",
    "SELECT pg_create_physical_replication_slot('mine')",
    "CREATE SUBSCRIPTION mine CONNECTION 'host=localhost' PUBLICATION mine",
    "CHECKPOINT",
)
OTHERS = "usename <> current_user"
SIBLINGS = "usename = current_user AND pid <> pg_backend_pid()"
MANY = 1000
GUESS = "00000000-0000-0000-0000-000000000000"
MIGRATION = 0x70657264757265


def own_token() -> str:
    """What the library has in its memory, which it shares with every workflow."""
    return step_context().branch.attempt._token.decode()


def claim_of_ours() -> str:
    """What the pod's spec shows; its environment does not."""
    frame = sys._current_frames()[threading.main_thread().ident or 0]
    while "environment" not in frame.f_locals and frame.f_back is not None:
        frame = frame.f_back
    return str(frame.f_locals["environment"].claim)


def own_url() -> str:
    """With what the library connects, likewise."""
    return str(step_context().branch.attempt.database_url)


def opened(url: str = "", **other: str) -> Session:
    """A session, with the login that is there if no other URL is given."""
    whole = make_conninfo(url or own_url(), connect_timeout=5, **other)
    return psycopg.connect(whole, autocommit=True)


def answered(session: Session, statement: str, *given: object) -> object:
    """The first value of the first row."""
    if statement.startswith("COPY") and statement.endswith("STDOUT"):
        with session.cursor().copy(statement.encode()) as copy:
            return copy.read()
    # Some statements have to be in a transaction, some must not.
    with session.transaction() if statement.startswith("LOCK") else nullcontext():
        cursor = session.execute(statement.encode(), given or None)
        row = cursor.fetchone() if cursor.description else None
        return "nothing" if row is None else row[0]


def own_secrets() -> list[str]:
    """What a program that a step starts is not to find."""
    return [own_token(), claim_of_ours(), str(urlsplit(own_url()).password)]


@step
def tables() -> Told:
    """Every table of the store, by every kind of statement."""
    return _each([*(of.format(f"perdure.{table}") for table in TABLES for of in OF_TABLES), *OF_ROWS])


@step
def schema_and_server() -> Told:
    """The schema, roles, and what lies behind the database."""
    return _each([*OF_SCHEMA, *OF_ROLES, *OF_SERVER])


def _each(statements: Iterable[str]) -> Told:
    told = {}
    for statement in statements:
        with opened() as session:
            told[statement] = outcome(answered, session, statement)
    return told


@step
def functions(victim: str, victims_claim: str, waiting: str, waitings_claim: str) -> Told:
    """The functions that it may call, for others' runs and for more than its own attempt; 3: not yours."""
    own, token, own_claim = os.environ["PERDURE_RUN_ID"], own_token(), claim_of_ours()
    begin = "SELECT answer FROM perdure.begin(%s, %s, gen_random_uuid(), {}, 'mine', 1, 1, 'node')"
    heartbeat = "SELECT answer FROM perdure.heartbeat(%s, %s, 1, 'mine')"
    calls = {
        "begin": begin.format(1),
        "checkpoint": "SELECT perdure.checkpoint(%s, %s, 'mine', 999, 'mine', 1, 0, 0, '17', NULL)",
        "load": "SELECT count(*) FROM perdure.load(ARRAY[%s]::uuid[], ARRAY[%s]::uuid[])",
        "heartbeat": heartbeat,
        "finish": "SELECT perdure.finish(%s, %s, 'succeeded', '17', NULL)",
        "release_run": "SELECT perdure.release_run(%s, %s, 'crashed', 1, 1, 'mine')",
    }
    told = {}
    with opened() as session:
        for whose, claim in {
            "our token": token,
            "no token": None,
            "a guess": GUESS,
            "its claim": victims_claim,
        }.items():
            for name, call in calls.items():
                told[f"{name} the victim's run with {whose}"] = outcome(answered, session, call, victim, claim)
        for name, call in calls.items():
            told[f"{name} the waiting run with its claim"] = outcome(answered, session, call, waiting, waitings_claim)
        for name in ("own_values", "own_steps", "own_attempts"):
            read = f"SELECT * FROM perdure.{name}(%s)"
            told[f"{name} of the waiting run"] = outcome(answered, session, read, waiting)
        told["begin our run in a second process"] = outcome(answered, session, begin.format(1), own, own_claim)
        told["begin our run as a client of the past"] = outcome(answered, session, begin.format(0), own, own_claim)
        told["begin our run with its token"] = outcome(answered, session, begin.format(1), own, token)
        told["heartbeat of our own with its claim"] = outcome(answered, session, heartbeat, own, own_claim)
        told["begin our run with a guess"] = outcome(answered, session, begin.format(1), own, GUESS)
        told["heartbeat of our own"] = outcome(answered, session, heartbeat, own, token)
    return told


@step
def bounds() -> Told:
    """What is too much of its own."""
    own, token = os.environ["PERDURE_RUN_ID"], own_token()
    huge = "to_json(repeat('x', 65 * 1024 * 1024))"
    checkpoint = "SELECT perdure.checkpoint(%s, %s, {}, 999, {}, 1, 0, 0, {}, {})"
    calls = {
        "a huge result of a step": checkpoint.format("'huge'", "'huge'", huge, "NULL"),
        "a huge error of a step": checkpoint.format("'huge'", "'huge'", "NULL", huge),
        "a long name of a step": checkpoint.format("'huge'", "repeat('x', 20000)", "'1'", "NULL"),
        "a huge result of the run": f"SELECT perdure.finish(%s, %s, 'succeeded', {huge}, NULL)",
        "a huge error of the run": f"SELECT perdure.finish(%s, %s, 'failed', NULL, {huge})",
    }
    with opened() as session:
        return {name: outcome(answered, session, call, own, token) for name, call in calls.items()}


@step
def many_sessions() -> Told:
    """As many as there are."""
    sessions: list[Session] = []
    try:
        while len(sessions) < MANY:
            sessions.append(opened())
    except psycopg.Error as error:
        return {"the last of many": f"refused: {last_words(error)}", "before": str(len(sessions))}
    finally:
        for session in sessions:
            session.close()
    return {}


@step
def sessions_of_others() -> Told:
    """Those of the operator, which has another login, and afterwards those of whoever has the same."""
    activity = "FROM pg_stat_activity WHERE"
    calls = {
        "query texts of the operator": f"SELECT string_agg(DISTINCT query, ' ') {activity} {OTHERS}",
        "end the operator's": f"SELECT count(pg_terminate_backend(pid)) {activity} {OTHERS}",
        "cancel the operator's": f"SELECT count(pg_cancel_backend(pid)) {activity} {OTHERS}",
        "end those with our login": f"SELECT bool_and(pg_terminate_backend(pid)) {activity} {SIBLINGS}",
    }
    with opened() as session:
        return {name: outcome(answered, session, call) for name, call in calls.items()}


@step
def notifications(channels: list[str], victim: str) -> Told:
    """What the operator listens for, if one knew where, which takes the store's id."""
    notify = "SELECT pg_notify(%s, %s)"
    with opened() as session:
        for channel in channels:
            for payload in (victim, "", "x" * 7000, GUESS, *map(str, range(100))):
                answered(session, notify, channel, payload)
        return {"the operator's channels": outcome(answered, session, notify, channels[0], victim)}


@step
def logins(store: str) -> Told:
    """Other logins of the server, ours without its password, and replication."""
    url = own_url()
    return {
        "the owner without a password": outcome(opened, f"postgresql://perdure@{store}/perdure"),
        "the owner with our password": outcome(opened, url, user="perdure"),
        "an administrator with our password": outcome(opened, url, user="postgres"),
        "ours without a password": outcome(opened, f"postgresql://{urlsplit(url).username}@{store}/perdure"),
        "a copy of everything": outcome(opened, url, replication="database"),
        "ours in another database": outcome(opened, url, dbname="postgres"),
        "ours where databases are copied from": outcome(opened, url, dbname="template1"),
    }


@step
def obstruct() -> str:
    """Take the lock under which the first schema is made; then hold a transaction open in which it called functions."""
    _held.append(opened())
    told = outcome(answered, _held[0], f"SELECT pg_advisory_lock({MIGRATION})")
    own, token = os.environ["PERDURE_RUN_ID"], own_token()
    _held[0].autocommit = False
    answered(_held[0], "SELECT answer FROM perdure.heartbeat(%s, %s, 1, 'mine')", own, token)
    return told


_held: list[Session] = []
