"""Bring a database to this release's schema, and grant the role of pods its rights there.

A migration is one transaction under one lock: concurrent migrations queue up, and the later ones find nothing left to
do. Migrations only add objects that older clients can ignore, so running clients go on. A newer release's schema serves
this release, too, as long as its `oldest_client` allows it: a rollback needs no migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from threading import Lock

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Connection, Engine, create_engine, exc, text
from sqlalchemy.pool import NullPool

from ...errors import StoreError, StoreUnavailable, UsageError
from ..postgres.connection import conninfo
from .function_files import functions, granted_to
from .versions import SCHEMA_VERSION, check_versions

__all__ = ["MigrationReport", "grants_sql", "migrate", "operator_grants_sql", "store_engine"]

OLDEST_POSTGRES = 14

LOCK_KEY = 0x70657264757265
"""Key of the advisory lock under which the first schema is made: 'perdure' in ASCII."""

LOCK_WAIT = 60.0
"""Longest wait for another migration, in seconds."""

DDL_WAIT = 5.0
"""Longest wait of one migration for a table that is in use, in seconds: later sessions queue behind it."""

_alembic = Lock()
"""Alembic keeps its state in globals of the process."""


@dataclass(frozen=True, slots=True)
class MigrationReport:
    """The versions before and after a migration.

    Attributes:
        from_version: version of the schema that it found; 0 where there was none.
        to_version: version of the schema that it left.
    """

    from_version: int
    to_version: int

    @property
    def changed(self) -> bool:
        """Whether there was something to do."""
        return self.from_version != self.to_version

    @property
    def newer(self) -> bool:
        """Whether the schema is of a newer release, which was left as it is."""
        return self.to_version > SCHEMA_VERSION


def store_engine(url: str) -> Engine:
    """An SQLAlchemy engine on psycopg, for any libpq connection URL. It has no pool: each connection is a new one."""
    given = conninfo(url, "perdure admin")
    return create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(given), poolclass=NullPool)


def migrate(url: str, *, pod_role: str | None = None) -> MigrationReport:
    """Migrate a database to this release's schema. This is safe at any time, and beside concurrent migrations.

    Args:
        url: libpq URL of the database, with a role that may create there.
        pod_role: the role whose members pods log in as. It is created (without login) if it is missing, and gets
            exactly the rights of `grants_sql`. In a newer schema it keeps the rights that the newer release granted.

    Raises:
        StoreUnavailable: no connection, or another migration or transaction held a lock for too long.
        SchemaMismatch: the schema is of a newer release, and does not serve this one any more.
        StoreError: the server is too old, the role of `url` may not do this, or pods could make it run their code.
    """
    if pod_role is not None:
        _identifier(pod_role)
    engine = store_engine(url)
    try:
        with engine.begin() as connection:
            # Without parameters psycopg sends a whole file at once and leaves its percent signs alone.
            connection.execution_options(no_parameters=True)
            _check_server(connection)
            _lock(connection)
            found, oldest_client = _versions(connection)
            if found > SCHEMA_VERSION:
                check_versions(found, oldest_client)
                return MigrationReport(found, found)
            _create_schema(connection)
            _upgrade(connection)
            _replace_functions(connection)
            if pod_role is not None:
                _create_role(connection, pod_role)
                _check_search_path(connection, pod_role)
                connection.exec_driver_sql(grants_sql(pod_role))
            return MigrationReport(found, _versions(connection)[0])
    except exc.DBAPIError as error:
        raise _translated(error) from error


def grants_sql(role: str) -> str:
    """The statements that give a role what pods need in a migrated database, and take everything else from it."""
    name = _identifier(role)
    allowed = ", ".join(f"perdure.{function}" for function in granted_to("pods"))
    return (
        f"REVOKE ALL ON SCHEMA perdure FROM {name};\n"
        f"REVOKE ALL ON ALL TABLES IN SCHEMA perdure FROM {name};\n"
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA perdure FROM {name};\n"
        f"REVOKE ALL ON ALL ROUTINES IN SCHEMA perdure FROM {name};\n"
        f"GRANT USAGE ON SCHEMA perdure TO {name};\n"
        f"GRANT EXECUTE ON FUNCTION {allowed} TO {name};\n"
    )


_RUNS_READ = (
    "id, owner, namespace, name, state, attempt, claim, process, begun, cancel, suspend, backoff_limit, crashes,"
    " disruptions, delay, available, deadline_seconds, cleanup_seconds, result, error, started, finished, gone,"
    " deadline_from, disruption_limit"
)
_RUNS_INSERTED = (
    "id, owner, namespace, name, entrypoint, input, source, backoff_limit, deadline_seconds, deadline_from, suspend"
)
_RUNS_WRITTEN = (
    "state, attempt, claim, token, login, process, begun, cancel, suspend, backoff_limit, deadline_seconds,"
    " deadline_from, cleanup_seconds, error, finished, gone, disruption_limit"
)
_ATTEMPTS = "run_id, attempt, claim, process, node, image, claimed, begun, ended, ending, code, signal, detail"


def operator_grants_sql(role: str) -> str:
    """The statements that grant the operator's rights in a migrated database to a role that is not its owner.

    The role may read no input, source or token of a run, and no outcome of a step. `pg_signal_backend` lets it end a
    backend that holds a run's lock.
    """
    name = _identifier(role)
    allowed = ", ".join(f"perdure.{function}" for function in granted_to("operator"))
    return (
        f"GRANT USAGE ON SCHEMA perdure TO {name};\n"
        f"GRANT SELECT ON perdure.meta TO {name};\n"
        f"GRANT SELECT ({_RUNS_READ}), INSERT ({_RUNS_INSERTED}), UPDATE ({_RUNS_WRITTEN}), DELETE"
        f" ON perdure.runs TO {name};\n"
        f"GRANT SELECT ({_ATTEMPTS}), INSERT ({_ATTEMPTS}), UPDATE ({_ATTEMPTS}), DELETE"
        f" ON perdure.attempts TO {name};\n"
        f"GRANT SELECT (run_id, step_key, attempt, started), DELETE ON perdure.steps TO {name};\n"
        f"GRANT SELECT, UPDATE (current_step), DELETE ON perdure.processes TO {name};\n"
        f"GRANT EXECUTE ON FUNCTION {allowed} TO {name};\n"
        f"GRANT pg_signal_backend TO {name};\n"
    )


def _identifier(role: str) -> str:
    if not role or "\0" in role or len(role.encode()) > 63:
        raise UsageError(f"{role!r} cannot name a role: 1 to 63 bytes of text without NUL can")
    return sql.Identifier(role).as_string(None)


def _check_server(connection: Connection) -> None:
    number = int(connection.exec_driver_sql("SELECT current_setting('server_version_num')").scalar_one())
    if number < OLDEST_POSTGRES * 10_000:
        raise StoreError(
            f"this server is Postgres {number // 10_000}; Perdure needs {OLDEST_POSTGRES} or newer: upgrade the server"
        )


def _lock(connection: Connection) -> None:
    """Wait for other migrations. Any login can take an advisory lock, so it is used only while there is no schema."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_WAIT}s'")
    held = f"advisory lock {LOCK_KEY}"
    # Not to_regclass: it caches a table's absence until the next lock on a table.
    there = "SELECT EXISTS (SELECT FROM pg_tables WHERE (schemaname, tablename) = ('perdure', 'alembic_version'))"
    try:
        if not connection.exec_driver_sql(there).scalar_one():
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
        # Looked up again: another migration may have made the table during the wait.
        if connection.exec_driver_sql(there).scalar_one():
            held = "of perdure.alembic_version"
            connection.exec_driver_sql("LOCK TABLE perdure.alembic_version IN SHARE ROW EXCLUSIVE MODE")
    except exc.OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise StoreUnavailable(
                f"another session has held the migration lock ({held}) for {LOCK_WAIT:g} s; let it end, or find it in"
                " pg_locks, and migrate again"
            ) from error
        raise
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{DDL_WAIT}s'")


def _versions(connection: Connection) -> tuple[int, int]:
    """The version of the schema, and the oldest client that it serves; 0 and 0 where there is no schema."""
    if connection.exec_driver_sql("SELECT to_regclass('perdure.meta')").scalar_one() is None:
        return 0, 0
    version, oldest = connection.exec_driver_sql("SELECT schema_version, oldest_client FROM perdure.meta").one()
    return int(version), int(oldest)


def _create_schema(connection: Connection) -> None:
    # Not IF NOT EXISTS: it needs the right to create even where an administrator has made the schema already.
    if connection.exec_driver_sql("SELECT to_regnamespace('perdure')").scalar_one() is None:
        connection.exec_driver_sql("CREATE SCHEMA perdure")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(files(__package__).joinpath("migrations")).replace("%", "%%"))
    config.attributes["connection"] = connection
    with _alembic:
        command.upgrade(config, "head")


_ROW_TYPES_CLOSED = """
DO $$
DECLARE
    one regtype;
BEGIN
    FOR one IN
        SELECT reltype FROM pg_catalog.pg_class
        WHERE relnamespace = 'perdure'::regnamespace AND relkind IN ('r', 'v') AND reltype <> 0
    LOOP
        EXECUTE format('REVOKE USAGE ON TYPE %s FROM PUBLIC', one);
    END LOOP;
END
$$
"""
"""A column of such a type, in a table of a pod's, would keep a later migration from changing ours."""


def _replace_functions(connection: Connection) -> None:
    """Apply every function's text, and revoke the rights that Postgres grants to PUBLIC on new functions and tables.

    The order does not matter: bodies are not checked until they are called, and all of this is one transaction.
    """
    connection.exec_driver_sql("SET LOCAL check_function_bodies = off")
    for function in functions():
        connection.exec_driver_sql(function.text)
    for kind in ("TABLES", "FUNCTIONS"):
        connection.exec_driver_sql(f"REVOKE ALL ON ALL {kind} IN SCHEMA perdure FROM PUBLIC")
    connection.exec_driver_sql("REVOKE ALL ON SCHEMA perdure FROM PUBLIC")
    connection.exec_driver_sql(_ROW_TYPES_CLOSED)


def _create_role(connection: Connection, role: str) -> None:
    if connection.execute(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}).first():
        return
    # Roles belong to the whole server, the lock to this database: a migration of another database may create the role
    # at the same time.
    try:
        with connection.begin_nested():
            connection.exec_driver_sql(f"CREATE ROLE {_identifier(role)} NOLOGIN")
    except exc.IntegrityError:
        pass
    except exc.ProgrammingError as error:
        if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
            raise StoreError(
                f"there is no role {role!r}, and this login may not create roles: have an administrator run"
                f" CREATE ROLE {_identifier(role)} NOLOGIN, then migrate again"
            ) from error
        if not isinstance(error.orig, psycopg.errors.DuplicateObject):
            raise


def _check_search_path(connection: Connection, pod_role: str) -> None:
    """Check that pods cannot create objects in a schema where this login looks up unqualified names.

    Up to Postgres 14 every role may create in `public`, and an upgrade from there keeps that right.
    """
    theirs = "SELECT s FROM unnest(current_schemas(false)) s WHERE has_schema_privilege(:role, s, 'CREATE')"
    if found := connection.execute(text(theirs), {"role": pod_role}).scalars().all():
        schema = sql.Identifier(found[0]).as_string(None)
        raise StoreError(
            f"pods may create in the schema {schema}, where this login looks names up: a function of theirs would run"
            f" with its rights; have an administrator run REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC,"
            f" {_identifier(pod_role)} in this database, then migrate again"
        )


def _translated(error: exc.DBAPIError) -> StoreError:
    what = str(error.orig).strip()
    if isinstance(error.orig, psycopg.errors.LockNotAvailable):
        return StoreUnavailable(
            f"a table of the schema was in use for {DDL_WAIT:g} s, so nothing was changed; migrate again ({what})"
        )
    if isinstance(error.orig, psycopg.errors.InsufficientPrivilege):
        return StoreError(f"this login may not migrate the database: {what}; use a login that may create there")
    if isinstance(error.orig, psycopg.OperationalError):
        return StoreUnavailable(f"the database is not available: {what}")
    return StoreError(f"the migration failed and changed nothing: {what}")
