"""`perdure-operator`: reads its settings, answers the kubelet, stands for election, and works while it leads."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from . import logs
from .controller.controller import Controller
from .controller.instances import Instance
from .election import Elector
from .errors import ApiError, Misconfigured
from .kube import NAMESPACES, Kube
from .settings import Settings
from .store.calls import OWNER_PREFIX
from .telemetry.access import Access
from .telemetry.certificate import Certificate
from .telemetry.health import METRICS_PATH, Health
from .telemetry.metrics import Metrics
from .telemetry.metrics_server import MetricsServer

__all__ = ["main"]

_log = logging.getLogger("perdure.operator")

_USAGE = 64  # as sysexits.h has it
_ASK_AGAIN = 2.0
_STUCK = 300.0
"""Seconds after which a running reconcile counts as hanging. The time limits of its calls are shorter."""


class Operator:
    """The process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._metrics = Metrics()
        self._kube = Kube(settings.kubeconfig, self._metrics)
        self._elector: Elector | None = None
        if settings.leader_election:
            self._elector = Elector(
                self._kube, settings.leader_election_namespace, settings.leader_election_name, settings.identity
            )
        self._health = Health(
            settings.http_port,
            dead=self._dead,
            unready=self._unready,
            warnings=lambda: () if self._controller is None else self._controller.warnings,
            metrics=self._metrics.text if settings.metrics == "open" else None,
        )
        self._metrics_server: MetricsServer | None = None
        if settings.metrics == "authorized":
            access, certificate = Access(self._kube, METRICS_PATH), Certificate(settings.metrics_certificate)
            self._metrics_server = MetricsServer(settings.metrics_port, certificate, access, self._metrics.text)
        self._controller: Controller | None = None
        self._owner: str | None = None
        self._problem: str | None = "it has not reached the API server yet"

    async def run(self) -> None:
        """Operate until SIGTERM or SIGINT.

        Raises:
            Misconfigured: the operator cannot work with its settings.
        """
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await self._kube.open()
        self._offer_metrics()
        await self._health.start()
        if self._metrics_server is not None:
            await self._metrics_server.start()
        operating = asyncio.create_task(self._operate(), name="operate")
        stopping = asyncio.create_task(stop.wait(), name="stop")
        try:
            await asyncio.wait({operating, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if self._controller is not None and stop.is_set():
                _log.info("stopping")
                await self._controller.finish()
        finally:
            for task in (operating, stopping):
                task.cancel()
            with suppress(asyncio.CancelledError):
                await operating
            if self._metrics_server is not None:
                await self._metrics_server.close()
            await self._health.close()
            await self._kube.close()

    async def _operate(self) -> None:
        self._owner = await self._identify()
        if self._elector is None:
            await self._lead()
        else:
            await self._elector.run(self._lead)

    async def _lead(self) -> None:
        assert self._owner is not None
        self._controller = Controller(self._settings, self._kube, self._owner, self._metrics)
        try:
            await self._controller.run()
        finally:
            self._controller = None
            self._metrics.stand_by()

    async def _identify(self) -> str:
        """The owner of this operator's runs in the store."""
        if self._settings.cluster_id is not None:
            self._problem = None
            return self._owner_in(self._settings.cluster_id)
        while True:
            try:
                namespace = await self._kube.get(NAMESPACES, None, "kube-system")
            except ApiError as error:
                self._problem = str(error)
                _log.warning("waiting for the API server: %s", error)
                await asyncio.sleep(_ASK_AGAIN)
            else:
                self._problem = None
                return self._owner_in(namespace["metadata"]["uid"])

    def _owner_in(self, cluster: str) -> str:
        return Instance(self._settings.instance).owner(f"{OWNER_PREFIX}{cluster}")

    def _dead(self) -> Sequence[str]:
        if self._controller is not None and self._controller.queue.longest_running > _STUCK:
            return [f"a reconcile has not ended for {self._controller.queue.longest_running:.0f} s"]
        return []

    def _unready(self) -> Sequence[str]:
        problems = [] if self._problem is None else [f"the API server: {self._problem}"]
        if self._elector is not None and self._elector.problem is not None:
            problems.append(f"the Lease: {self._elector.problem}")
        return problems if self._controller is None else [*problems, *self._controller.problems()]

    def _offer_metrics(self) -> None:
        def of_controller(name: str, what: str, read: Callable[[Controller], float], otherwise: float = 0.0) -> None:
            self._metrics.watch(name, what, lambda: otherwise if self._controller is None else read(self._controller))

        of_controller("leading", "1 while this operator works, 0 while it stands by.", lambda _: 1.0)
        of_controller("queue_depth", "Workflows whose turn it is.", lambda controller: controller.queue.depth)
        of_controller(
            "queue_planned", "Workflows that come again at some time.", lambda controller: controller.queue.planned
        )
        of_controller(
            "queue_failing", "Workflows whose last reconcile failed.", lambda controller: controller.queue.failing
        )
        of_controller("workflows", "Workflows that are known.", lambda controller: len(controller.cache))
        self._metrics.watch_counts(
            "workflows_stalled",
            "Workflows that do not go on without a person, by reason.",
            ("namespace", "reason"),
            lambda: {} if self._controller is None else self._controller.cache.stalled(),
        )
        of_controller(
            "active_runs",
            "Runs that hold one of the places of maxActiveRuns.",
            lambda controller: controller.capacity.held,
        )
        of_controller("waiting_runs", "Runs that wait for a place.", lambda controller: controller.capacity.waiting)
        of_controller(
            "notify_queue_usage",
            "How much of the queue of notifications is taken, of 1; from a half on nothing is notified.",
            lambda controller: controller.notify_queue,
        )
        of_controller(
            "silent_attempts",
            "Attempts that gave no sign of life for a lease.",
            lambda controller: controller.liveness.silent_now,
        )
        of_controller(
            "store_suspected",
            "1 while most attempts are silent at once, so that they are started one at a time.",
            lambda controller: controller.liveness.suspicion is not None,
        )
        self._metrics.watch_counts(
            "places_held",
            "Places that runs hold.",
            ("namespace",),
            lambda: {} if self._controller is None else self._controller.capacity.held_by_namespace(),
        )
        self._metrics.watch_counts(
            "places_queued",
            "Runs that wait for a place.",
            ("namespace",),
            lambda: {} if self._controller is None else self._controller.capacity.waiting_by_namespace(),
        )
        of_controller(
            "resync_age_seconds",
            "Since everything was last compared.",
            lambda controller: controller.resync.age,
            float("nan"),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the operator with settings from command line and environment. Returns its exit code."""
    try:
        settings = Settings.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
        logs.configure(settings.log_level, settings.log_format)
        asyncio.run(Operator(settings).run())
    except Misconfigured as error:
        sys.stderr.write(f"perdure-operator: {error}\n")
        return _USAGE
    return 0
