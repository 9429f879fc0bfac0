"""Perdure through its public path: `Client.start`, `Worker`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from benchmarks.contestants import flows
from benchmarks.contestants.gauge import Gauge
from perdure.client import Client
from perdure.worker import Worker

_WARM = 50
_SETTLE = 1.0
"""Seconds in which the heartbeat process, which comes with a worker's first run, has started."""


def sync_steps(url: str, steps: int) -> dict[str, float]:
    """One run of many steps."""
    return _measure(url, flows.sync_steps, 1, steps)


def async_steps(url: str, runs: int, steps: int) -> dict[str, float]:
    """Many runs at the same time."""
    return _measure(url, flows.async_steps, runs, steps)


def _measure(url: str, flow: Callable[..., Any], runs: int, steps: int) -> dict[str, float]:
    with Worker(url, workflows=[flow]), Client(url) as client:
        flows.gauges.append(Gauge(runs))
        for handle in [client.start(flow, _WARM) for _ in range(runs)]:
            handle.result(60)
        time.sleep(_SETTLE)
        flows.gauges.append(Gauge(runs))
        for handle in [client.start(flow, steps) for _ in range(runs)]:
            handle.result(300)
    return flows.gauges[-1].figures()


def worker(url: str) -> None:
    """Work until the process is ended."""
    Worker(url).run()
