"""Absurd with its defaults: one task of many steps."""

from __future__ import annotations

from benchmarks.contestants.gauge import Gauge

_WARM = 50


def steps(url: str, steps: int) -> dict[str, float]:
    """One task of many steps, claimed and executed in this process."""
    from absurd_sdk import Absurd, TaskContext

    app = Absurd(url)
    gauges: list[Gauge] = []

    @app.register_task(name="flow")
    def flow(params: dict[str, int], ctx: TaskContext) -> None:
        def plain() -> int:
            gauges[-1].step()
            return 1

        gauges[-1].begin()
        for _ in range(params["steps"]):
            ctx.step("plain", plain)
        gauges[-1].end()

    for count in (_WARM, steps):
        gauges.append(Gauge(1))
        app.spawn("flow", {"steps": count})
        app.work_batch()
    app.close()
    return gauges[-1].figures()
