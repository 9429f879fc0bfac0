"""What a worker tells its heartbeat process is one line, read back as it was."""

from __future__ import annotations

from perdure.process.identity import this_process
from perdure.worker.heartbeat_process import HeartbeatOrder


def test_order_survives_its_line() -> None:
    order = HeartbeatOrder(
        "postgresql://user:pass\nword@host/db", "queue:\N{GREEK SMALL LETTER ALPHA}", 6.0, this_process()
    )
    line = order.to_json()
    assert "\n" not in line
    assert HeartbeatOrder.from_json(line.encode()) == order
