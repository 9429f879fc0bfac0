"""The store's tables, for SQLAlchemy Core: to administer them, and to compare a migrated schema with.

The migrations create the tables, never this metadata.
The columns are explained in `migrations/tables.sql`, which creates them.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    UUID,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.types import UserDefinedType

__all__ = ["OneByte", "attempts", "logins", "meta", "metadata", "processes", "runs", "steps"]

metadata = MetaData(schema="perdure")

_moment = TIMESTAMP(timezone=True)


class OneByte(UserDefinedType[str]):
    """Postgres's type "char", which SQLAlchemy has no name for."""

    cache_ok: bool | None = True

    def get_col_spec(self, **_: object) -> str:
        return '"char"'


meta = Table(
    "meta",
    metadata,
    Column("only_row", Boolean, primary_key=True, server_default=text("true")),
    Column("store_id", UUID, nullable=False, server_default=text("gen_random_uuid()")),
    Column("schema_version", Integer, nullable=False),
    Column("oldest_client", Integer, nullable=False),
    CheckConstraint("only_row", name="meta_only_row_check"),
)

runs = Table(
    "runs",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("namespace", Text, nullable=False, server_default=text("''")),
    Column("name", Text, nullable=False),
    Column("entrypoint", Text, nullable=False),
    Column("input", JSON, nullable=False),
    Column("source", JSON),
    Column("origin", Text),
    Column("state", Text, nullable=False, server_default=text("'pending'")),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    Column("claim", UUID),
    Column("token", UUID),
    Column("login", Text),
    Column("process", UUID),
    Column("begun", Boolean, nullable=False, server_default=text("false")),
    Column("timeline", Text),
    Column("cancel", Boolean, nullable=False, server_default=text("false")),
    Column("suspend", Boolean, nullable=False, server_default=text("false")),
    Column("backoff_limit", Integer, nullable=False, server_default=text("6")),
    Column("crashes", Integer, nullable=False, server_default=text("0")),
    Column("delay", Double, nullable=False, server_default=text("0")),
    Column("available", _moment, nullable=False, server_default=text("now()")),
    Column("deadline_seconds", Double),
    Column("result", JSON),
    Column("error", JSON),
    Column("created", _moment, nullable=False, server_default=text("now()")),
    Column("started", _moment),
    Column("finished", _moment),
    Column("disruptions", Integer, nullable=False, server_default=text("0")),
    Column("gone", _moment),
    Column("seed", UUID, nullable=False, server_default=text("gen_random_uuid()")),
    Column("cleanup_seconds", Double),
    Column("deadline_from", _moment),
    Column("disruption_limit", Integer, nullable=False, server_default=text("20")),
    Column("clock", BigInteger, nullable=False, server_default=text("0")),
    Column("clock_at", _moment),
    CheckConstraint(
        "state IN ('pending', 'running', 'waiting', 'succeeded', 'failed', 'cancelled')", name="runs_state"
    ),
    CheckConstraint("begun = (token IS NOT NULL)", name="runs_token"),
)
Index(
    "runs_name",
    runs.c.owner,
    runs.c.namespace,
    runs.c.name,
    unique=True,
    postgresql_where=text("owner LIKE 'queue:%'"),
)
Index("runs_queue", runs.c.owner, runs.c.created, postgresql_where=text("state = 'pending'"))
Index("runs_pending", runs.c.owner, runs.c.available, postgresql_where=text("state = 'pending'"))
Index("runs_live", runs.c.process, postgresql_where=text("state = 'running'"))
Index("runs_created", runs.c.owner, runs.c.created)
Index(
    "runs_active",
    runs.c.owner,
    postgresql_where=text("owner LIKE 'cluster:%' AND state IN ('pending', 'running', 'waiting')"),
)
Index("runs_kept", runs.c.owner, postgresql_where=text("owner LIKE 'cluster:%' AND gone IS NULL"))
Index("runs_gone", runs.c.owner, runs.c.gone, postgresql_where=text("gone IS NOT NULL"))

steps = Table(
    "steps",
    metadata,
    Column("run_id", UUID, primary_key=True),
    Column("step_key", Text(collation="C"), primary_key=True),
    Column("kind", OneByte(), nullable=False, server_default=text("'s'")),
    Column("ordinal", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("clock", BigInteger, nullable=False),
    Column("result", JSON),
    Column("error", JSON),
    Column("started", _moment, nullable=False),
    Column("finished", _moment, nullable=False),
    Column("fingerprint", UUID),
)

attempts = Table(
    "attempts",
    metadata,
    Column("run_id", UUID, primary_key=True),
    Column("attempt", Integer, primary_key=True, autoincrement=False),
    Column("claim", UUID, nullable=False),
    Column("token", UUID),
    Column("process", Text),
    Column("node", Text),
    Column("image", Text),
    Column("claimed", _moment, nullable=False, server_default=text("now()")),
    Column("begun", _moment),
    Column("ended", _moment),
    Column("ending", Text),
    Column("code", Integer),
    Column("signal", Integer),
    Column("detail", Text),
    Column("clock", BigInteger),
)

processes = Table(
    "processes",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("claim", UUID),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("pid_started", BigInteger, nullable=False),
    Column("counter", BigInteger, nullable=False, server_default=text("0")),
    Column("steps_done", BigInteger, nullable=False, server_default=text("0")),
    Column("current_step", Text),
    postgresql_with={"fillfactor": 50},
)

logins = Table(
    "logins",
    metadata,
    Column("login", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("namespace", Text, primary_key=True),
    Column("purpose", Text, nullable=False),
    Column("locks", Integer, nullable=False, server_default=text("0")),
    CheckConstraint("purpose IN ('reader', 'pods', 'locked')", name="logins_purpose"),
)
