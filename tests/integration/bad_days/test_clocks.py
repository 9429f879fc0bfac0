"""Wall clocks that are set back and forth, the server's and the process's: nothing of a run goes by them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from tests.harness.clock import Clock
from tests.harness.databases import Databases
from tests.harness.postgres import Servers
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts
from tests.integration.store.rows import Session

from .fleet import Fleet

MakeFleet = Callable[..., Fleet]

DAY = 86_400.0


def test_clocks_stepped_back_and_forth(
    servers: Servers, fleet: MakeFleet, children: Children, workspace: Workspace
) -> None:
    server = servers.embedded(clock=True)
    database = Databases(server, _migrate).new()
    clock = Clock(workspace.new_folder("clock"))
    with database.connect() as connection:
        attempts = Attempts(children, database, workspace, Session(connection))
        attempt = attempts.claim_again(
            attempts.store.insert(entrypoint="day_flows:ticking", input='{"count": 100}', deadline_seconds=300.0)
        )
        ticking = attempts.exec(attempt, **{**clock.environment(), "PERDURE_IMPORT_PATH": str(Path(__file__).parent)})
        made = fleet(database, alone=1, threads=2, loop=4).start()
        for share, offset in ((0.1, DAY), (0.3, -DAY), (0.5, 3600), (0.7, 0)):
            attempts.wait_for(f"tick#{100 * share:.0f}")
            server.clock.set_offset(offset)
            clock.set_offset(-offset)
        assert ticking.wait(40) == 0, str(ticking)
        made.wait()

        # The run's own clock, by which it orders timers and outcomes, only ever went on, by seconds.
        rows = attempts.store.execute(
            "SELECT run_id, clock FROM perdure.steps WHERE run_id = %s ORDER BY ordinal", attempt.run
        )
        readings = [reading for _, reading in rows]
        assert readings == sorted(readings)
        assert readings[-1] < 60e6
        # The time that it read goes by that clock, too.
        moments = [datetime.fromisoformat(moment) for moment in attempts.store.run(attempt.run)["result"]]
        assert moments == sorted(moments)
        assert (moments[-1] - moments[0]).total_seconds() < 60
        assert len(attempts.log()) == len(set(attempts.log())) == 100
        attempts.store.execute("DELETE FROM perdure.steps WHERE run_id = %s", attempt.run)
        attempts.store.execute("DELETE FROM perdure.runs WHERE id = %s", attempt.run)
        children.close()
    made.check()


def _migrate(url: str) -> None:
    from perdure.store.schema.migrate import migrate

    migrate(url)
