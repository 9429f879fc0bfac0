"""PgBouncer: connections of clients share those of the server, transaction by transaction."""

from __future__ import annotations

import psycopg
import pytest

from tests.harness.pgbouncer import PgBouncer


def backend(connection: psycopg.Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid()", prepare=False).fetchone()
    assert row is not None
    return row[0]


def test_idle_clients_share_one_server_connection(postgres):
    with PgBouncer(postgres, pool_size=1) as bouncer:
        first = psycopg.connect(bouncer.url(), autocommit=True)
        second = psycopg.connect(bouncer.url(), autocommit=True)
        with first, second:
            assert backend(first) == backend(second)


def test_a_transaction_holds_a_server_connection(postgres):
    with PgBouncer(postgres, pool_size=2) as bouncer:
        first = psycopg.connect(bouncer.url())
        second = psycopg.connect(bouncer.url())
        with first, second:
            assert backend(first) != backend(second)


def test_roles_made_later_log_in_as_themselves(postgres, pgbouncer):
    postgres.create_role("bounced")
    with psycopg.connect(pgbouncer.url(role="bounced")) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("bounced",)


def test_an_old_pooler_refuses_startup_options(postgres, pgbouncer):
    with pytest.raises(psycopg.OperationalError, match="unsupported startup parameter"):
        psycopg.connect(pgbouncer.url() + "&options=-csearch_path%3Dx")
