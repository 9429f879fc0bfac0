"""Steps behind a network: a proxy delays every round trip to 1.3 ms."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from benchmarks.ground import Ground
from benchmarks.table import Row, paired

_ROUND_TRIP = 1.3e-3
_STEPS = 400


def rows(ground: Ground, rounds: int) -> Iterable[Row]:
    ours, dbos = ground.perdure(), ground.dbos()
    with ground.proxy() as proxy:
        taken_by_select = proxy.delay_to(_ROUND_TRIP) * 1e3

        def counted() -> dict[str, float]:
            before = proxy.requests
            figures = ground.measure("ours:sync_steps", url=proxy.url(ours.name), steps=_STEPS)
            return {**figures, "requests": float(proxy.requests - before)}

        taken = paired(
            rounds,
            floor=partial(ground.measure, "floor:steps", url=proxy.url(ours.name), steps=_STEPS),
            ours=counted,
            dbos=partial(ground.measure, "dbos_peer:sync_steps", url=proxy.url(dbos.name), steps=60),
        )
        before = proxy.requests
        ground.measure("ours:sync_steps", url=proxy.url(ours.name), steps=2 * _STEPS)
        more = proxy.requests - before - taken["ours"]["requests"].median
    rate = {name: figures["per_second"] for name, figures in taken.items()}
    to_floor, to_dbos = rate["ours"].over(rate["floor"]), rate["ours"].over(rate["dbos"])
    yield Row(
        f"steps/s at a round trip of {taken_by_select:.2f} ms, one sync workflow",
        rate["ours"].text(),
        f"dbos {rate['dbos'].text()}",
        to_dbos.text(digits=1),
        "10",
        to_dbos.median >= 10,
    )
    trips = more / _STEPS
    yield Row(
        "round trips per step there",
        f"{trips:.2f}",
        f"floor {rate['floor'].text()} steps/s",
        f"{to_floor.text(digits=2)} of its rate",
        "1",
        round(trips, 1) <= 1,
    )
