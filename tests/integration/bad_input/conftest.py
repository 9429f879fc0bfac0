"""Attempts of the workflows in bad_flows.py, each in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.harness.databases import Database
from tests.harness.processes import Child, Children
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts
from tests.integration.store.rows import Attempt, Session


class BadAttempts(Attempts):
    """Runs of the workflows in bad_flows.py."""

    def claim(self, workflow: str, input: str = "{}", **values: object) -> Attempt:
        return self.claim_again(self.store.insert(None, entrypoint=f"bad_flows:{workflow}", input=input, **values))

    def exec(self, attempt: Attempt, *, prefix: Sequence[str] = (), **environment: str) -> Child:
        here = {"PERDURE_IMPORT_PATH": str(Path(__file__).parent)}
        return super().exec(attempt, prefix=prefix, **here | environment)


@pytest.fixture
def attempts(children: Children, database: Database, workspace: Workspace) -> Iterator[BadAttempts]:
    """Runs of the workflows in bad_flows.py."""
    with database.connect() as connection:
        yield BadAttempts(children, database, workspace, Session(connection))
        children.close()
