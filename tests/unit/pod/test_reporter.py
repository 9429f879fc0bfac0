"""What a supervisor says to the store of its attempt: one try at each call, with the attempt's own token."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from perdure.attempt_ends import AttemptEnd
from perdure.errors import StoreUnavailable
from perdure.names import RunId, Token
from perdure.pod import reporter
from perdure.pod.channel import Progress
from perdure.pod.reporter import StoreReporter
from perdure.pod.reporting import Death, Verdict
from perdure.store.attempts.attempts import Verdict as Answered

RUN, TOKEN = RunId(uuid4()), Token(uuid4())


class Store:
    """A store that takes notes."""

    def __init__(self, opener: Any) -> None:
        self.patience = opener.patience
        self.calls: list[tuple[Any, ...]] = []

    def heartbeat(self, *told: object) -> Answered:
        self.calls.append(told)
        return Answered(superseded=False, cancel=True, suspend=False, at_once=True)

    def release_run(self, *told: object, **more: object) -> None:
        self.calls.append((*told, more))

    def close(self) -> None:
        self.calls.append(("closed",))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(reporter, "AttemptStore", Store)
    return StoreReporter("postgresql://there", RUN, TOKEN)


def test_a_heartbeat_tells_how_far_it_is_and_what_is_asked(made: Any) -> None:
    assert made.heartbeat(Progress(steps_done=3, current_step="charge")) == Verdict(cancel=True, at_once=True)
    assert made._store.calls == [(RUN, TOKEN, 3, "charge")]
    assert made._store.patience == 0.0


@pytest.mark.parametrize(
    ("death", "told"),
    [(Death(signal=9), {"code": None, "signal": 9}), (Death(exit_code=3), {"code": 3, "signal": None})],
)
def test_a_death_ends_the_attempt_as_crashed(made: Any, death: Death, told: dict[str, object]) -> None:
    made.report_death(death)
    assert made._store.calls == [(RUN, TOKEN, AttemptEnd.CRASHED, {**told, "detail": str(death)})]


def test_a_release_leaves_the_run_to_another(made: Any) -> None:
    made.release_run("terminated")
    made.close()
    assert made._store.calls == [(RUN, TOKEN, AttemptEnd.RELEASED, {"detail": "terminated"}), ("closed",)]


def test_a_store_that_is_away_is_told_at_once() -> None:
    nowhere = StoreReporter("postgresql://127.0.0.1:1/nowhere", RUN, TOKEN)
    with pytest.raises(StoreUnavailable):
        nowhere.heartbeat(Progress())
