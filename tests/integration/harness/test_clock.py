"""A clock that is set under a running child: its wall time jumps, its monotonic time does not."""

from __future__ import annotations

import time
from pathlib import Path

from tests.harness.clock import Clock
from tests.harness.eventually import eventually

TICKING = """
    import time
    while True:
        print(time.time(), time.monotonic())
        time.sleep(0.01)
"""


def test_only_the_wall_clock_is_set(workspace, children):
    clock = Clock(workspace.new_folder("clock"))
    child = children.code(TICKING, env=clock.environment())

    def wall_is_ahead() -> bool:
        lines = child.output.splitlines()[:-1]  # the last one may be half written
        if not lines:
            return False
        wall, monotonic = map(float, lines[-1].split())
        assert abs(monotonic - time.monotonic()) < 30
        return abs(wall - time.time() - offset) < 30

    offset = 0
    for offset in (0, 3600, -3600, 0):
        clock.set_offset(offset)
        eventually(wall_is_ahead)
    child.kill()
    child.close()
    assert not list(Path("/dev/shm").glob(f"*faketime*_{child.pid}"))
