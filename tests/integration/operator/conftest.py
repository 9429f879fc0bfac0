"""An API server for the tests here, the operator as a process, and somebody who plays the pods' part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from secrets import token_hex

import pytest

from tests.cluster.built.prerequisites import Lacking
from tests.harness.databases import Database
from tests.harness.processes import Children
from tests.harness.unavailable import untested
from tests.harness.workspace import Workspace
from tests.integration.store.rows import Session

from .api_server import ApiServer
from .operators import Operator
from .scene import Scene


@pytest.fixture(scope="session")
def api_server(workspace: Workspace) -> Iterator[ApiServer]:
    """An API server with the kind Workflow, shared by all tests: not to be stopped."""
    try:
        made = ApiServer(workspace)
    except Lacking as lacking:
        untested(str(lacking))
    yield made
    made.close()


@pytest.fixture
def own_api_server(workspace: Workspace) -> Iterator[ApiServer]:
    """An API server for one test, which may do to it what it likes."""
    made = ApiServer(workspace)
    yield made
    made.close()


@pytest.fixture
def namespace(api_server: ApiServer) -> str:
    """A namespace for one test; nobody is there to delete it."""
    name = f"test-{token_hex(4)}"
    api_server.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
def start_operator(
    api_server: ApiServer, database: Database, children: Children, namespace: str
) -> Iterator[Callable[..., Operator]]:
    """Starts operators that watch the test's namespace."""
    operators: list[Operator] = []

    def start(url: str = database.url, **options: str) -> Operator:
        operators.append(Operator(children, api_server.kubeconfig, url, namespace, options))
        return operators[-1]

    yield start
    for operator in operators:
        print(operator.child.errors[-20_000:])  # shown if the test fails
    for operator in operators:
        operator.check()


@pytest.fixture
def scene(api_server: ApiServer, database: Database, children: Children, namespace: str) -> Scene:
    """Workflows of the test, and their pods."""
    return Scene(api_server.api, namespace, children, database)


@pytest.fixture
def pod(database: Database) -> Iterator[Session]:
    """Does what pods do."""
    with closing(database.connect()) as connection:
        yield Session(connection)
