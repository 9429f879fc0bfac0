"""What a worker cannot be made or started with is refused with a message that says so."""

from __future__ import annotations

import pytest

from perdure.errors import DefinitionError, UsageError
from perdure.worker import Worker

URL = "postgresql://nobody@/nowhere"


@pytest.mark.parametrize(
    "options", [{"concurrency": 0}, {"threads": 0}, {"lease": 0.0}, {"lease": float("nan")}, {"max_connections": 11}]
)
def test_numbers_that_are_too_small(options) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        Worker(URL, **options)


def test_queue_that_cannot_be_named() -> None:
    with pytest.raises(DefinitionError, match="queue"):
        Worker(URL, queue="a\nb")


def test_function_that_is_no_workflow() -> None:
    with pytest.raises(UsageError, match="@workflow"):
        Worker(URL, workflows=[print])


def test_no_workflow_at_all() -> None:
    with pytest.raises(UsageError, match="no workflow is known"):
        Worker(URL, workflows=[]).start()


def test_no_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERDURE_DATABASE_URL", raising=False)
    with pytest.raises(UsageError, match="PERDURE_DATABASE_URL"):
        Worker()


def test_stop_of_a_worker_that_does_not_work() -> None:
    Worker(URL).stop()
