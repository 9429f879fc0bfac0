"""Servers, databases, proxies and children for tests; all of them end with the test or the test run that got them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.databases import Database, Databases
from tests.harness.pgbouncer import PgBouncer
from tests.harness.postgres import Server, Servers
from tests.harness.processes import Children
from tests.harness.proxy import Proxy
from tests.harness.workspace import Workspace

# Nobody needs what a shared server holds after a crash.
_QUICK: dict[str, str | int] = {"fsync": "off", "full_page_writes": "off"}


@pytest.fixture(scope="session")
def workspace() -> Iterator[Workspace]:
    """The folder of this test run."""
    with Workspace() as made:
        yield made


@pytest.fixture(scope="session")
def shared_servers(workspace: Workspace) -> Iterator[Servers]:
    """Makes servers that live until the test run ends."""
    made = Servers(workspace)
    yield made
    made.close()


@pytest.fixture
def servers(workspace: Workspace, shared_servers: Servers) -> Iterator[Servers]:
    """Makes servers that end with the test, which may do to them what it likes."""
    made = Servers(workspace, templates_of=shared_servers)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgres(shared_servers: Servers) -> Server:
    """The newest Postgres, shared by all tests, without fsync: not to be stopped or changed."""
    return shared_servers.embedded(parameters=_QUICK)


@pytest.fixture(scope="session")
def oldest_postgres(shared_servers: Servers) -> Server:
    """As `postgres`, in the oldest version at hand."""
    return shared_servers.oldest(parameters=_QUICK)


@pytest.fixture(scope="session")
def databases(postgres: Server) -> Databases:
    """Makes databases on `postgres`, for tests that need several or an empty one; they stay until it ends."""
    return Databases(postgres, _migrate)


@pytest.fixture(scope="session")
def oldest_databases(oldest_postgres: Server) -> Databases:
    """As `databases`, on `oldest_postgres`."""
    return Databases(oldest_postgres, _migrate)


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    """A fresh migrated database on `postgres`."""
    made = databases.new()
    yield made
    databases.drop(made)


@pytest.fixture
def oldest_database(oldest_databases: Databases) -> Iterator[Database]:
    """A fresh migrated database on `oldest_postgres`."""
    made = oldest_databases.new()
    yield made
    oldest_databases.drop(made)


@pytest.fixture
def own_server(servers: Servers) -> Server:
    """A server for this test alone, which keeps what it acknowledges."""
    return servers.embedded()


@pytest.fixture
def own_database(own_server: Server) -> Database:
    """A migrated database on `own_server`."""
    return Databases(own_server, _migrate).new()


@pytest.fixture
def proxy(postgres: Server) -> Iterator[Proxy]:
    """A proxy in front of `postgres`."""
    with Proxy(postgres) as made:
        yield made


@pytest.fixture
def pgbouncer(postgres: Server) -> Iterator[PgBouncer]:
    """PgBouncer in front of `postgres`."""
    with PgBouncer(postgres) as made:
        yield made


@pytest.fixture
def children(workspace: Workspace) -> Iterator[Children]:
    """Starts processes that end with the test."""
    made = Children(workspace)
    yield made
    made.close()


def _migrate(url: str) -> None:
    from perdure.store.schema.migrate import migrate

    migrate(url)
