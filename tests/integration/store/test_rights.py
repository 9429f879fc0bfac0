"""What a hostile workflow gets with the login of a pod: nothing but its own run, through the functions.

The victim's run is there beside the pod's own, and the attacker may know the victim's id. Whatever is tried, the
victim's rows are the same afterwards, and nothing of them was seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import errors

from tests.harness.databases import Database

from .rows import OWNER, Attempt, Session, with_pods_role

ROLE = "perdure_pod"
LOGIN = "perdure_pod_login"
SECRET = "the victim's secret"
TABLES = ["meta", "runs", "steps", "attempts", "processes", "alembic_version", "logins"]
STORE_TABLES = TABLES[1:5]


@pytest.fixture
def admin(database: Database) -> Iterator[Session]:
    with with_pods_role(database, ROLE, LOGIN) as session:
        yield session


@pytest.fixture
def pod(admin: Session, database: Database) -> Iterator[Session]:
    with closing(database.connect(role=LOGIN)) as connection:
        yield Session(connection)


@pytest.fixture
def own(admin: Session, pod: Session) -> Attempt:
    """The pod's own attempt, begun by itself, with a checkpoint."""
    attempt = admin.claim(admin.insert("own"))
    assert attempt is not None
    assert pod.begin(attempt)["answer"] == 0
    assert pod.checkpoint(attempt) == 0
    return attempt


@pytest.fixture
def victim(admin: Session) -> Iterator[Attempt]:
    """Another's attempt, with a checkpoint; the same in every column when the test is over."""
    attempt = admin.begun(admin.insert("victim", input=f'{{"secret": "{SECRET}"}}'))
    admin.checkpoint(attempt, "charge", 1, SECRET)
    before = rows_of(admin, attempt.run)
    assert len(before) == 4
    yield attempt
    assert rows_of(admin, attempt.run) == before


def rows_of(admin: Session, run: UUID) -> list[tuple[str]]:
    return admin.execute(
        "SELECT to_json(r)::text FROM perdure.runs r WHERE id = %s"
        " UNION ALL SELECT to_json(s)::text FROM perdure.steps s WHERE run_id = %s"
        " UNION ALL SELECT to_json(a)::text FROM perdure.attempts a WHERE run_id = %s"
        " UNION ALL SELECT to_json(p)::text FROM perdure.processes p"
        " WHERE id = (SELECT process FROM perdure.runs WHERE id = %s)",
        *[run] * 4,
    )


def test_its_own_run_it_can_bring_to_its_end(pod: Session, own: Attempt, victim: Attempt) -> None:
    assert [row[1] for row in pod.load(own)] == ["charge"]
    assert pod.checkpoints((own, "next", 2)) == [0]
    assert pod.heartbeat(own) == (0, False, False)
    assert pod.release_run(own, "released") == 0
    assert pod.finish(own) == 3


# --- tables


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM perdure.{}",
        "SELECT count(*) FROM perdure.{}",
        "SELECT 1 FROM perdure.{} FOR SHARE",
        "INSERT INTO perdure.{} DEFAULT VALUES",
        "DELETE FROM perdure.{}",
        "TRUNCATE perdure.{}",
        "DO $$ BEGIN LOCK TABLE perdure.{} IN ACCESS SHARE MODE; END $$",
        "COPY perdure.{} TO STDOUT",
        "ALTER TABLE perdure.{} ADD mine text",
        "DROP TABLE perdure.{}",
        "CREATE INDEX mine ON perdure.{} ((1))",
        "CREATE TRIGGER mine BEFORE INSERT ON perdure.{} EXECUTE FUNCTION perdure.begin()",
        "CREATE VIEW pg_temp.mine AS SELECT * FROM perdure.{}; SELECT * FROM pg_temp.mine",
        "GRANT SELECT ON perdure.{} TO PUBLIC",
        "ALTER TABLE perdure.{} OWNER TO CURRENT_USER",
        "REFERENCES",
    ],
)
def test_no_statement_reaches_a_table(pod: Session, victim: Attempt, table: str, statement: str) -> None:
    if statement == "REFERENCES":
        key = {"meta": "only_row", "runs": "id", "processes": "id"}.get(table)
        if key is None:
            return
        statement = f"CREATE TEMP TABLE mine (x {'boolean' if key == 'only_row' else 'uuid'} REFERENCES perdure.{{}})"
    with pytest.raises((errors.InsufficientPrivilege, errors.InvalidTableDefinition)):
        pod.execute(statement.format(table))


@pytest.mark.parametrize(
    "update",
    [
        "UPDATE perdure.runs SET claim = gen_random_uuid()",
        "UPDATE perdure.runs SET token = gen_random_uuid(), login = CURRENT_USER",
        "UPDATE perdure.runs SET attempt = attempt + 1",
        "UPDATE perdure.steps SET result = 'null'",
        "UPDATE perdure.attempts SET ending = NULL",
        "UPDATE perdure.processes SET counter = counter + 1",
        "UPDATE perdure.meta SET oldest_client = 0",
    ],
)
def test_it_alters_no_row_its_own_included(pod: Session, own: Attempt, victim: Attempt, update: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        pod.execute(update)


@pytest.mark.parametrize("table", STORE_TABLES)
def test_statistics_of_the_tables_hold_no_values(admin: Session, pod: Session, victim: Attempt, table: str) -> None:
    admin.execute(f"ANALYZE perdure.{table}")
    assert pod.execute("SELECT * FROM pg_stats WHERE schemaname = 'perdure'") == []
    with pytest.raises(errors.InsufficientPrivilege):
        pod.execute("SELECT * FROM pg_statistic")


# --- other runs, other tokens


def attempts_at(victim: Attempt, own: Attempt) -> list[tuple[UUID | None, UUID | None]]:
    """Pairs of run and token with which the victim's run might be reached."""
    return [
        (victim.run, None),
        (victim.run, own.token),
        (victim.run, uuid4()),
        (victim.run, UUID(int=0)),
        (victim.run, victim.claim),
        (victim.run, victim.process),
        (None, own.token),
        (None, None),
        (uuid4(), own.token),
    ]


def test_knowing_the_id_of_a_run_without_its_token_gives_nothing(pod: Session, own: Attempt, victim: Attempt) -> None:
    for run, token in attempts_at(victim, own):
        guess = Attempt(run, token)  # type: ignore[arg-type]
        begun = pod.begin(guess)
        assert begun.pop("answer") in ((7,) if token == victim.claim else (3, 4))
        begun.pop("schema_version")
        assert set(begun.values()) == {None}
        assert pod.checkpoint(guess) in (3, 4)
        assert pod.checkpoints((guess, "a", 1)) in ([3], [4])
        assert pod.heartbeat(guess, 99, "mine")[0] in (3, 4)
        assert pod.finish(guess, "failed") in (3, 4)
        assert pod.release_run(guess) in (3, 4)
        with pytest.raises(psycopg.Error, match="superseded"):
            pod.load(guess)
        with pytest.raises(psycopg.Error, match="superseded"):
            pod.load(own, guess)


def test_a_token_opens_nothing_to_another_login(admin: Session, own: Attempt, database: Database) -> None:
    admin.execute(f"CREATE ROLE {LOGIN}_b LOGIN IN ROLE {ROLE}")
    before = rows_of(admin, own.run)
    try:
        with closing(database.connect(role=f"{LOGIN}_b")) as connection:
            thief = Session(connection)
            assert thief.begin(replace(own))["answer"] == 7, "though he knows the process's id, too"
            assert thief.checkpoint(own, "forged", 2) == 3
            assert thief.checkpoints((own, "forged", 2)) == [3]
            assert thief.heartbeat(own)[0] == 3
            assert thief.finish(own) == 3
            assert thief.release_run(own) == 3
            assert thief.execute("SELECT perdure.declare_cleanup(%s, %s, 60)", own.run, own.token) == [(3,)]
            with pytest.raises(psycopg.Error, match="superseded"):
                thief.load(own)
    finally:
        admin.execute(f"DROP ROLE {LOGIN}_b")
    assert rows_of(admin, own.run) == before


def test_no_claim_ends_an_attempt_but_the_operators(admin: Session, pod: Session, own: Attempt) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        pod.end_attempt(own, "lost")
    assert admin.run(own.run)["claim"] == own.claim


def test_a_run_that_nobody_holds_cannot_be_taken(admin: Session, pod: Session, own: Attempt) -> None:
    idle = admin.insert("idle")
    before = admin.run(idle)
    for guess in (Attempt(idle, None), replace(own, run=idle)):  # type: ignore[arg-type]
        assert pod.begin(guess)["answer"] == 3
        assert pod.release_run(guess) == 3
        assert pod.finish(guess) == 3
    assert admin.run(idle) == before


def test_its_own_run_is_closed_to_it_when_its_token_has_died(
    admin: Session, pod: Session, own: Attempt, victim: Attempt
) -> None:
    successor = admin.begun(own.run)
    admin.checkpoint(successor, "later", 2, "theirs")
    before = rows_of(admin, own.run)
    for token in (own.token, None, own.process):
        dead = replace(own, claim=token, token=token)  # type: ignore[arg-type]
        assert pod.begin(dead)["answer"] == 3
        assert pod.checkpoint(dead, "late", 3) == 3
        assert pod.heartbeat(dead)[0] == 3
        assert pod.finish(dead) == 3
        assert pod.release_run(dead) == 3
        with pytest.raises(psycopg.Error, match="superseded"):
            pod.load(dead)
    assert rows_of(admin, own.run) == before


def test_it_holds_no_lock_on_a_run_that_is_not_its_own(
    admin: Session, pod: Session, own: Attempt, victim: Attempt
) -> None:
    with pod.connection.transaction():
        guess = replace(own, run=victim.run)
        pod.begin(guess)
        pod.checkpoint(guess)
        pod.checkpoints((guess, "a", 1))
        pod.heartbeat(guess)
        pod.finish(guess)
        pod.release_run(guess)
        assert admin.execute("SELECT id FROM perdure.runs WHERE name = 'victim' FOR UPDATE SKIP LOCKED") == [
            (victim.run,)
        ]
        processes = "SELECT id FROM perdure.processes WHERE id = %s FOR UPDATE SKIP LOCKED"
        assert admin.execute(processes, victim.process) == [(victim.process,)]


def test_it_makes_nothing_that_a_migration_of_our_tables_would_trip_over(admin: Session, pod: Session) -> None:
    admin.execute("CREATE SCHEMA tripping")
    try:
        admin.execute("GRANT ALL ON SCHEMA tripping TO PUBLIC")
        for made in ("TABLE tripping.mine (r {})", "TYPE tripping.mine AS (r {})", "DOMAIN tripping.mine AS {}"):
            for kind in ("perdure.runs", "perdure.steps[]", "perdure.meta"):
                with pytest.raises(errors.InsufficientPrivilege, match="permission denied for type"):
                    pod.execute(f"CREATE {made.format(kind)}")
    finally:
        admin.execute("DROP SCHEMA tripping CASCADE")


# --- too much of its own


HUGE = "to_json(repeat('x', 64 * 1024 * 1024))"
CHECKPOINT = "SELECT perdure.checkpoint(%s, %s, 'k', 9, {}, 1, 0, 0, {}, {})"
CHECKPOINTS = (
    "SELECT (perdure.checkpoints(ARRAY[%s]::uuid[], ARRAY[%s]::uuid[], '{{k}}', '{{9}}', ARRAY[{}], '{{1}}', '{{0}}',"
    " '{{0}}', ARRAY[{}]::text[], ARRAY[{}]::text[]))[1]"
)


@pytest.mark.parametrize(
    "call",
    [
        CHECKPOINT.format("'k'", HUGE, "NULL"),
        CHECKPOINT.format("'k'", "NULL", HUGE),
        CHECKPOINT.format("repeat('k', 16384)", "'1'", "NULL"),
        CHECKPOINTS.format("'k'", HUGE, "NULL"),
        CHECKPOINTS.format("'k'", "NULL", HUGE),
        CHECKPOINTS.format("repeat('k', 64 * 16384)", "'1'", "NULL"),
        f"SELECT perdure.finish(%s, %s, 'succeeded', {HUGE}, NULL)",
        f"SELECT perdure.finish(%s, %s, 'failed', NULL, {HUGE})",
    ],
)
def test_what_it_stores_has_a_bound(pod: Session, own: Attempt, call: str) -> None:
    with pytest.raises(errors.ProgramLimitExceeded):
        pod.execute(call, own.run, own.token)
    less = call.replace("64 *", "16 *").replace("'k', 16384", "'k', 16383")
    assert pod.execute(less, own.run, own.token) == [(0,)]


SQUEEZED = "(SELECT value FROM public.squeezed)"


@pytest.mark.parametrize(
    "call",
    [
        CHECKPOINT.format("'k'", SQUEEZED, "NULL"),
        CHECKPOINT.format("'k'", "NULL", SQUEEZED),
        CHECKPOINTS.format("'k'", "SQUEEZED", "NULL").replace("ARRAY[SQUEEZED]::text[]", SQUEEZED),
        f"SELECT perdure.finish(%s, %s, 'succeeded', {SQUEEZED}, NULL)",
    ],
)
def test_a_bound_is_of_what_a_value_is_when_it_is_read(admin: Session, pod: Session, own: Attempt, call: str) -> None:
    """A value from a table of its own comes compressed to a hundredth, and is stored so."""
    kind = "text[]" if "checkpoints" in call else "json"
    value = f"ARRAY[{HUGE}::text]" if kind == "text[]" else HUGE
    admin.execute(f"CREATE TABLE public.squeezed AS SELECT {value}::{kind} AS value")
    try:
        admin.execute("GRANT SELECT ON public.squeezed TO PUBLIC")
        assert admin.execute("SELECT pg_column_size(value) < 1000000 FROM public.squeezed") == [(True,)]
        with pytest.raises(errors.ProgramLimitExceeded):
            pod.execute(call, own.run, own.token)
    finally:
        admin.execute("DROP TABLE public.squeezed")


def test_what_it_says_of_itself_is_cut_short(admin: Session, pod: Session) -> None:
    attempt = admin.claim(admin.insert("talkative"))
    assert attempt is not None
    wordy = "repeat('x', 5000)"
    begin = f"SELECT answer FROM perdure.begin(%s, %s, %s, 1, {wordy}, 1, 1, {wordy})"
    assert pod.execute(begin, attempt.run, attempt.claim, attempt.process) == [(0,)]
    said = "SELECT length(process), length(node), image FROM perdure.attempts WHERE run_id = %s"
    assert admin.execute(said, attempt.run) == [(1026, 1024, None)]
    assert admin.execute("SELECT length(host) FROM perdure.processes WHERE id = %s", attempt.process) == [(1024,)]


# --- other functions, other roles


@pytest.mark.parametrize(
    "call",
    [
        "perdure.timeline()",
        "perdure.channel('done', 'queue:default')",
        "pg_read_file('postgresql.conf')",
        "pg_read_binary_file('PG_VERSION')",
        "pg_ls_dir('.')",
        "pg_stat_file('PG_VERSION')",
        "lo_import('/etc/passwd')",
        "lo_export(1, '/tmp/mine')",
        "pg_reload_conf()",
        "pg_rotate_logfile()",
        "pg_switch_wal()",
        "pg_create_restore_point('mine')",
        "pg_promote()",
        "pg_stat_reset()",
        "pg_logical_slot_get_changes('mine', NULL, NULL)",
        "pg_create_physical_replication_slot('mine')",
        "set_config('session_replication_role', 'replica', false)",
        "set_config('log_statement', 'all', false)",
        "pg_get_backend_memory_contexts()",
    ],
)
def test_no_other_function_is_its_to_call(pod: Session, victim: Attempt, call: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.ObjectNotInPrerequisiteState)):
        pod.execute(f"SELECT {call}")


def test_nothing_of_the_schemas_functions_is_left_to_everybody(admin: Session) -> None:
    granted = admin.execute(
        "SELECT p.proname, acl.grantee FROM pg_proc p, aclexplode(p.proacl) acl"
        " WHERE p.pronamespace = 'perdure'::regnamespace AND acl.grantee = 0"
    )
    assert granted == []
    unfixed = admin.execute(
        "SELECT proname FROM pg_proc WHERE pronamespace = 'perdure'::regnamespace AND prosecdef"
        " AND proconfig IS DISTINCT FROM ARRAY['search_path=pg_catalog, pg_temp']"
    )
    assert unfixed == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "SET ROLE pg_read_all_data",
        "CREATE ROLE mine",
        f"ALTER ROLE {LOGIN} SUPERUSER",
        f"GRANT pg_read_all_data TO {LOGIN}",
        f"ALTER ROLE {ROLE} LOGIN",
        f"GRANT {ROLE} TO pg_monitor",
        "CREATE DATABASE mine",
        "CREATE EXTENSION dblink",
        "CREATE EXTENSION postgres_fdw",
        "CREATE SCHEMA mine",
        "ALTER SCHEMA perdure RENAME TO mine",
        "DROP SCHEMA perdure CASCADE",
        "CREATE TABLE perdure.mine (x int)",
        "CREATE TABLE public.mine (x int)",
        "CREATE FUNCTION perdure.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE FUNCTION pg_catalog.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TYPE perdure.mine AS (x int)",
        "CREATE OPERATOR perdure.= (FUNCTION = texteq, LEFTARG = uuid, RIGHTARG = uuid)",
        "ALTER FUNCTION perdure.load SECURITY INVOKER",
        "ALTER FUNCTION perdure.load SET search_path = pg_temp",
        "DROP FUNCTION perdure.load",
        "GRANT EXECUTE ON FUNCTION perdure.timeline() TO PUBLIC",
        "CREATE EVENT TRIGGER mine ON ddl_command_start EXECUTE FUNCTION mine()",
        "ALTER SYSTEM SET log_statement = 'all'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "COPY (SELECT 1) TO '/tmp/mine'",
        "CREATE SUBSCRIPTION mine CONNECTION 'host=/tmp' PUBLICATION mine",
        "CREATE PUBLICATION mine FOR TABLE perdure.steps",
        "CHECKPOINT",
        "LOAD '/tmp/mine.so'",
        "CREATE FUNCTION pg_temp.mine() RETURNS int LANGUAGE c AS '/tmp/mine.so'",
    ],
)
def test_it_changes_neither_schema_nor_roles_nor_server(pod: Session, victim: Attempt, statement: str) -> None:
    with pytest.raises((errors.InsufficientPrivilege, errors.UndefinedFile)):
        pod.execute(statement)


def test_it_reads_no_query_texts_of_other_roles(admin: Session, pod: Session, database: Database) -> None:
    with closing(database.connect(role="postgres")) as connection:
        connection.execute("SELECT 'query text of another'")
        rows = pod.execute("SELECT usename, query FROM pg_stat_activity WHERE pid = %s", connection.info.backend_pid)
        assert rows == [("postgres", "<insufficient privilege>")]
        with pytest.raises(errors.InsufficientPrivilege):
            pod.execute("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)


def test_a_sibling_with_the_same_login_shows_no_values_in_its_query_texts(
    admin: Session, pod: Session, own: Attempt, database: Database
) -> None:
    sibling_attempt = admin.claim(admin.insert("sibling"))
    assert sibling_attempt is not None
    with closing(database.connect(role=LOGIN)) as connection:
        sibling = Session(connection)
        sibling.begin(sibling_attempt)
        sibling.checkpoint(sibling_attempt, "charge", 1, SECRET)
        [(query,)] = pod.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", connection.info.backend_pid)
    assert "perdure.checkpoint" in query
    assert str(sibling_attempt.token) not in query
    assert str(sibling_attempt.claim) not in query
    assert SECRET not in query


def test_large_objects_of_others_are_closed_to_it(admin: Session, pod: Session) -> None:
    [(loid,)] = admin.execute("SELECT lo_from_bytea(0, 'secret')")
    for call in (f"lo_get({loid})", f"lo_put({loid}, 0, 'mine')", f"lo_unlink({loid})"):
        with pytest.raises(errors.InsufficientPrivilege):
            pod.execute(f"SELECT {call}")
    with pytest.raises(errors.InsufficientPrivilege):
        pod.execute("SELECT * FROM pg_largeobject")


def test_channels_of_work_and_endings_have_names_that_it_cannot_guess(
    admin: Session, pod: Session, own: Attempt, victim: Attempt
) -> None:
    [(channel,)] = admin.execute("SELECT perdure.channel('done', %s)", OWNER)
    known = pod.begin(own)
    known_texts = [str(value) for value in known.values()] + [OWNER, str(own.run), str(own.token), "done"]
    guesses = pod.execute(
        "SELECT 'perdure_done_' || left(md5(a || b), 16) FROM unnest(%s::text[]) a, unnest(%s::text[]) b",
        known_texts,
        [*known_texts, ""],
    )
    assert (channel,) not in guesses


# --- shadows: names of ours in schemas of its own, under the functions of ours


SHADOWS = """
    CREATE TEMP TABLE runs (id uuid, claim uuid, attempt int, timeline text, begun boolean);
    CREATE TEMP TABLE meta (schema_version int, oldest_client int);
    CREATE TEMP TABLE steps (run_id uuid, step_key text, result json);
    CREATE TEMP TABLE processes (id uuid);
    CREATE TYPE pg_temp.uuid AS (x int);
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (false);
    CREATE DOMAIN pg_temp.json AS pg_catalog.json CHECK (false);
    CREATE TEMP TABLE caught (who name, what pg_catalog.text);
    CREATE FUNCTION pg_temp.note(what pg_catalog.text) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO caught VALUES (current_user, what); END $$;
    CREATE FUNCTION pg_temp.equal(pg_catalog.uuid, pg_catalog.uuid) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('='); RETURN true; END $$;
    CREATE OPERATOR pg_temp.= (FUNCTION = pg_temp.equal, LEFTARG = pg_catalog.uuid, RIGHTARG = pg_catalog.uuid);
    CREATE FUNCTION pg_temp.joined(pg_catalog.text, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('||'); RETURN ''; END $$;
    CREATE OPERATOR pg_temp.|| (FUNCTION = pg_temp.joined, LEFTARG = pg_catalog.text, RIGHTARG = pg_catalog.text);
    CREATE FUNCTION pg_temp.left(pg_catalog.text, integer) RETURNS pg_catalog.text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('left'); RETURN '00000000'; END $$;
    CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('clock_timestamp'); RETURN 'epoch'; END $$;
    CREATE FUNCTION pg_temp.pg_current_wal_insert_lsn() RETURNS pg_lsn LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('pg_current_wal_insert_lsn'); RETURN '0/0'; END $$;
    CREATE FUNCTION pg_temp.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('unnest'); END $$;
    CREATE FUNCTION pg_temp.set_config(pg_catalog.text, pg_catalog.text, boolean) RETURNS pg_catalog.text
        LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note('set_config'); RETURN ''; END $$;
    CREATE FUNCTION pg_temp.pg_notify(pg_catalog.text, pg_catalog.text) RETURNS void LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note($1); END $$;
    CREATE FUNCTION pg_temp.md5(pg_catalog.text) RETURNS pg_catalog.text LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_temp.note($1); RETURN ''; END $$;
"""


def test_shadows_of_our_names_catch_nothing(admin: Session, pod: Session, own: Attempt, victim: Attempt) -> None:
    for statement in SHADOWS.split(";\n    CREATE"):
        text = statement if statement.strip().startswith("CREATE") else f"CREATE{statement}"
        pod.execute(text)
    pod.execute("SET search_path = pg_temp, perdure, pg_catalog")
    assert pod.execute("SELECT %s::pg_catalog.uuid OPERATOR(pg_temp.=) %s::pg_catalog.uuid", uuid4(), uuid4()) == [
        (True,)
    ]
    pod.execute("DELETE FROM caught")
    guess = replace(own, run=victim.run)
    functions_as_they_are(pod, own, guess)
    assert pod.execute("SELECT who, what FROM caught") == []


def functions_as_they_are(pod: Session, own: Attempt, guess: Attempt) -> None:
    run, token, process = own.run, own.token, own.process
    assert pod.execute("SELECT answer FROM perdure.begin(%s, %s, %s, 1, 'h', 1, 1, NULL)", run, own.claim, process) == [
        (1,)
    ]
    arguments = "'k', 9, 'k', 1, 0, 0, '1', NULL"
    assert pod.execute(f"SELECT perdure.checkpoint(%s, %s, {arguments})", guess.run, token) == [(3,)]
    assert pod.execute(f"SELECT perdure.checkpoint(%s, %s, {arguments})", run, token) == [(0,)]
    assert pod.execute(
        "SELECT perdure.checkpoints(ARRAY[%s, %s]::pg_catalog.uuid[], ARRAY[%s, %s]::pg_catalog.uuid[],"
        " '{a,b}', '{10,11}', '{a,b}', '{1,1}', '{0,0}', '{0,0}', '{1,2}', '{NULL,NULL}')",
        run, guess.run, token, token,
    ) == [([0, 3],)]  # fmt: skip
    assert pod.execute("SELECT answer FROM perdure.heartbeat(%s, %s, 1, 'k')", run, token) == [(0,)]
    assert pod.execute("SELECT answer FROM perdure.heartbeat(%s, %s, 1, 'k')", guess.run, token) == [(3,)]
    loaded = "SELECT step_key FROM perdure.load(ARRAY[%s]::pg_catalog.uuid[], ARRAY[%s]::pg_catalog.uuid[])"
    assert len(pod.execute(loaded, run, token)) == 3
    with pytest.raises(psycopg.Error, match="superseded"):
        pod.execute(loaded, guess.run, token)
    assert pod.execute("SELECT perdure.release_run(%s, %s, 'crashed', 1, 1, NULL)", guess.run, token) == [(3,)]
    assert pod.execute("SELECT perdure.finish(%s, %s, 'succeeded', '1', NULL)", guess.run, token) == [(3,)]
    assert pod.execute("SELECT perdure.finish(%s, %s, 'succeeded', '1', NULL)", run, token) == [(0,)]


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_an_old_snapshot_makes_no_dead_token_pass(admin: Session, pod: Session, own: Attempt, isolation: str) -> None:
    pod.execute(f"SET default_transaction_isolation = '{isolation}'")
    with suppress(errors.SerializationFailure), pod.connection.transaction():
        assert pod.heartbeat(own)[0] == 0
        assert admin.claim(own.run) is not None, "an open heartbeat stops no claim"
        with pytest.raises(errors.SerializationFailure):
            pod.checkpoint(own, "late", 5)
    assert [key for (key,) in admin.execute("SELECT step_key FROM perdure.steps")] == ["charge"]


def test_settings_of_its_session_change_no_answer(
    admin: Session, own: Attempt, victim: Attempt, database: Database
) -> None:
    # A fresh session: a setting of PL/pgSQL that only superusers may make can be made up before PL/pgSQL is loaded.
    with closing(database.connect(role=LOGIN)) as connection:
        pod = Session(connection)
        for name, value in [
            ("plpgsql.variable_conflict", "use_variable"),
            ("plpgsql.extra_errors", "all"),
            ("transform_null_equals", "on"),
            ("intervalstyle", "sql_standard"),
            ("timezone", "Pacific/Kiritimati"),
        ]:
            pod.execute("SELECT set_config(%s, %s, false)", name, value)
        functions_as_they_are(pod, own, replace(own, run=victim.run))
