"""A Postgres that goes away and comes back: the runs wait for it, and nothing is lost or done twice."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from perdure.attempt_results import Released
from tests.harness.databases import Database
from tests.harness.postgres import Server

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def test_restarted(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    made = fleet(own_database).start()
    for share, mode in ((0.2, "fast"), (0.5, "immediate")):
        made.reach(share)
        own_server.restart(mode)
    made.wait()
    made.check()


def test_killed(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    made = fleet(own_database).start()
    for share in (0.2, 0.5):
        made.reach(share)
        own_server.kill()
        own_server.start()
    made.wait()
    made.check()


@pytest.mark.parametrize(
    "seconds", [3.0, pytest.param(30.0, marks=[pytest.mark.slow, pytest.mark.timeout(120)], id="30 s")]
)
def test_gone_for_a_while(own_server: Server, own_database: Database, fleet: MakeFleet, seconds: float) -> None:
    made = fleet(own_database).start()
    made.reach(0.3)
    own_server.stop()
    ran = len(made.ran())
    time.sleep(seconds)
    # Steps in flight may finish; none begins while the outcome of the one before it is not stored.
    assert len(made.ran()) <= ran + 2 * len(made.runs)
    own_server.start()
    made.wait(60)
    made.check()


def test_gone_for_longer_than_patience(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    """Each attempt ends and releases its run; the step whose outcome could not be stored is all that runs again."""
    made = fleet(own_database, patience=0.5).start()
    made.reach(0.3)
    own_server.stop()
    made.wait()
    said = [ending.why for ending in made.endings.values() if isinstance(ending, Released)]
    assert len(said) == len(made.endings), made.endings
    assert all("could not be stored" in why or "does not answer" in why for why in said), said
    own_server.start()
    made.patience = 60.0
    made.go_on()
    made.check(repeated=len(made.runs))


def test_paused_and_resumed(own_server: Server, own_database: Database, fleet: MakeFleet) -> None:
    """Connections stay open, and nothing answers."""
    made = fleet(own_database).start()
    made.reach(0.3)
    own_server.pause()
    time.sleep(2)
    own_server.resume()
    made.wait()
    made.check()
