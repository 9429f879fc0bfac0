"""A lagging standby takes over: the new server's word counts, and what it does not have is done again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest

from perdure.attempt_results import Released, Succeeded, Superseded
from tests.harness.databases import Database
from tests.harness.postgres import PORT, SUPERUSER, Server, Servers
from tests.harness.standby import Standby

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]


def _either(first: Server, second: Server, name: str) -> str:
    """A URL that finds the one of two servers which takes writes."""
    hosts = quote(f"{first.folder},{second.folder}", safe=",")
    return f"postgresql://{SUPERUSER}@/{name}?host={hosts}&port={PORT},{PORT}&target_session_attrs=read-write"


@pytest.mark.parametrize("dies", [True, False], ids=["the old one is dead", "the old one lives on, refusing writes"])
def test_a_lagging_standby_is_promoted(
    own_server: Server, own_database: Database, servers: Servers, fleet: MakeFleet, dies: bool
) -> None:
    standby = Standby(own_server)
    servers.add(standby)
    made = fleet(own_database, url=_either(own_server, standby, own_database.name)).start()
    made.reach(0.2)
    standby.catch_up()
    standby.fall_behind()
    made.reach(0.4)
    if dies:
        own_server.kill()
    else:
        own_server.read_only(True)
        own_server.terminate(own_database.name)
    standby.promote()
    made.wait()

    made.database = Database(standby, own_database.name)
    kept = made.stored()
    ran = len(made.ran())
    assert 0 < len(kept) < ran - len(made.runs), "the standby lacks steps that the old server had acknowledged"
    assert {type(ending) for ending in made.endings.values()} <= {Released, Succeeded}
    said = {ending.why for ending in made.endings.values() if isinstance(ending, Released)}
    assert any("failed over to another server" in text for text in said), said

    made.go_on()
    made.check(repeated=len(made.runs) * made.steps)
    assert not {(run, key) for run, key, _ in made.ran()[ran:]} & kept, "a step that the new server has ran again"
    assert kept <= made.stored()


def test_an_attempt_that_the_new_server_never_heard_of_is_superseded(
    own_server: Server, own_database: Database, servers: Servers, fleet: MakeFleet
) -> None:
    standby = Standby(own_server)
    servers.add(standby)
    made = fleet(own_database, url=_either(own_server, standby, own_database.name))
    standby.catch_up()
    standby.fall_behind()
    made.start()
    made.reach(0.2)
    own_server.kill()
    standby.promote()
    made.wait()

    made.database = Database(standby, own_database.name)
    assert {type(ending) for ending in made.endings.values()} == {Superseded}
    assert made.stored() == set()
    ran = len(made.ran())
    made.go_on()
    made.check(repeated=ran)
