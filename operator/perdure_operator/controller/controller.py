"""The controller: all tasks that run while this replica leads. It keeps no state from one leadership to the next."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from perdure.errors import StoreError, StoreUnavailable

from ..api.database_tls import DatabaseTls
from ..api.pod import PodSettings, SecretKey
from ..decide.observed import Key, Policy
from ..errors import Unavailable
from ..kube import WORKFLOWS, Kube
from ..settings import Settings
from ..sources.connectivity import ConnectivityProbe
from ..sources.kopf_watch import EventSource, Watched
from ..sources.liveness import Liveness
from ..sources.notifications import NotificationListener
from ..store.store import OperatorStore
from ..telemetry.metrics import Metrics
from ..telemetry.run_metrics import RunMetrics
from .cache import Cache, CachedPod, CachedWorkflow, read_pod
from .capacity import Capacity, Places
from .event_recorder import EventRecorder
from .executor import Executor
from .history import History, RetentionPolicy
from .housekeeping import Housekeeping
from .instances import Instance
from .reconciler import Reconciler
from .resync import Resync, Scope
from .status_budget import StatusBudget
from .workqueue import WorkQueue

__all__ = ["Controller", "pod_settings"]

_log = logging.getLogger("perdure.operator")

_STORE_CHECK = 10.0
_API_CHECK = 300.0
_COUNT = 30.0
_QUEUE_FULL = 0.5
"""Fraction of the queue of notifications above which the store's function `notify` sends no more notifications."""
_NOTIFY_QUEUE = (
    "the queue of Postgres's notifications fills up, so runs are looked for now and then: a session listens and holds"
    " a transaction open, which the log of Postgres names"
)
_LAST_WORK = 1.2
"""Seconds that running reconciles have to end after the operator has received a signal to stop."""


class Controller:
    """The tasks that run while this replica leads, and what connects them."""

    def __init__(self, settings: Settings, kube: Kube, owner: str, metrics: Metrics) -> None:
        self._metrics = metrics
        self._store = OperatorStore(
            settings.database_url, owner, lease=settings.lease_seconds, connections=settings.database_connections
        )
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile, workers=settings.workers, meter=metrics)
        places = Places(settings.max_active_runs, settings.max_active_runs_per_namespace, settings.namespace_weights)
        self.capacity = Capacity(places, self.queue.add)
        self._store_probe = ConnectivityProbe(
            "the store", self._store.identity, self._back, every=_STORE_CHECK, away=StoreError
        )
        self._api_probe = ConnectivityProbe(
            "the API server",
            lambda: kube.ask(WORKFLOWS, next(iter(settings.namespaces), None)),
            self._back,
            every=_API_CHECK,
            away=Unavailable,
        )
        self.liveness = Liveness(
            settings.database_url,
            owner,
            self._heard_of,
            lease=settings.lease_seconds,
            namespace=lambda uid: None if (key := self.cache.key_of(uid)) is None else key.namespace,
            node=self.cache.node_of,
        )
        direct = settings.database_direct_url or settings.database_url
        instance = Instance(settings.instance)
        scope = Scope(
            namespaces=settings.namespaces,
            every=settings.resync_seconds,
            retention=timedelta(days=settings.retention_days),
            instance=instance,
        )
        self.resync = Resync(scope, kube, self._store, self.cache, self.capacity, metrics, self.queue.add, self._watch)
        self._housekeeping = Housekeeping(scope, self._store, self.cache, self.resync, metrics)
        keeping = RetentionPolicy(
            ttl=settings.ttl_seconds_after_finished,
            successful=settings.successful_runs_history_limit,
            failed=settings.failed_runs_history_limit,
        )
        self._history = History(keeping, kube, settings.namespaces, instance)
        self._listener = NotificationListener(direct, owner, self._heard_of, self.resync.soon)
        self._source = EventSource(
            workflows=Watched(self.cache.read, self._saw_workflow),
            pods=Watched(read_pod, self._saw_pod),
            listed=self.resync.soon,
            credentials=kube.credentials,
            namespaces=settings.namespaces,
            selects=instance,
        )
        executor = Executor(
            kube=kube,
            store=self._store,
            cache=self.cache,
            capacity=self.capacity,
            budget=StatusBudget(time.monotonic),
            events=EventRecorder(kube, settings.identity),
            refusals={},
            pods=pod_settings(settings),
            instance=instance,
            gave_way=metrics.gave_way,
        )
        self._reconciler = Reconciler(
            executor=executor,
            failure_detector=self.liveness,
            run_metrics=RunMetrics(self._store, metrics),
            requeue_after=self.queue.add_after,
            preparation=settings.pod_preparation_seconds,
            policy=Policy(
                active_deadline_seconds=settings.active_deadline_seconds,
                disruption_limit=settings.disruption_limit,
                succeeded_pods=settings.succeeded_pods_ttl_seconds,
                failed_pods=settings.failed_pods_history_limit,
                barred_namespace=None if settings.workflows_in_own_namespace else settings.own_namespace,
            ),
            start_patience=settings.start_patience_seconds,
        )
        self._working: asyncio.Task[None] | None = None
        self.notify_queue = 0.0
        """Fraction of the queue of notifications that is in use, from 0 to 1."""

    async def run(self) -> None:
        """Run all tasks until cancelled.

        The listener, the watch and the workers start only after the first comparison: before it, the cache is empty,
        and `capacity` does not know which runs hold places.
        """
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._store_probe.run(), name="watch the store")
                group.create_task(self._api_probe.run(), name="watch the API server")
                group.create_task(self.liveness.run(), name="liveness")
                group.create_task(self.resync.run(), name="resync")
                group.create_task(self._housekeeping.run(), name="housekeeping")
                await self.resync.first.wait()
                group.create_task(self._listener.run(), name="listen")
                group.create_task(self._source.run(), name="events")
                group.create_task(self._count(), name="count")
                group.create_task(self._history.run(), name="history")
                self._working = group.create_task(self.queue.run(), name="work")
        finally:
            await self._store.close()

    async def finish(self) -> None:
        """Start no more reconciles, and give those that run a moment to end."""
        self.queue.stop()
        if self._working is not None:
            await asyncio.wait({self._working}, timeout=_LAST_WORK)

    def problems(self) -> Sequence[str]:
        """Reasons why the controller cannot work now."""
        store = [] if self._store_probe.problem is None else [f"the store: {self._store_probe.problem}"]
        return store if self.resync.problem is None else [*store, f"the comparison: {self.resync.problem}"]

    @property
    def warnings(self) -> Sequence[str]:
        """Problems in spite of which the controller works."""
        unreadable = [f"namespace {name} cannot be read: {why}" for name, why in self.resync.unreadable.items()]
        queue = [] if self.notify_queue < _QUEUE_FULL else [f"{_NOTIFY_QUEUE}: {self.notify_queue:.0%} are taken"]
        suspicion = [] if self.liveness.suspicion is None else [self.liveness.suspicion]
        return [*unreadable, *suspicion, *queue]

    def _saw_workflow(self, seen: CachedWorkflow, gone: bool) -> None:  # noqa: FBT001 as `Watched` calls it
        if gone:
            self.cache.saw_workflow_gone(seen.key, seen.uid)
            self.queue.add(seen.key)
        elif self.cache.saw_workflow(seen):
            self.queue.add(seen.key)

    def _saw_pod(self, seen: CachedPod | None, gone: bool) -> None:  # noqa: FBT001 as `Watched` calls it
        if seen is None:
            return  # no Workflow controls the pod
        if gone:
            self.cache.saw_pod_gone(seen.owner, seen.pod.uid)
            self.queue.add(seen.owner.key)
        elif self.cache.saw_pod(seen):
            self.queue.add(seen.owner.key)

    def _watch(self, namespaces: Sequence[str]) -> None:
        self._source.watch(namespaces)

    def _heard_of(self, runs: Sequence[UUID]) -> None:
        for uid in runs:
            if (key := self.cache.key_of(uid)) is not None:
                self.queue.add(key)

    async def _reconcile(self, key: Key) -> None:
        try:
            await self._reconciler.reconcile(key)
        except StoreUnavailable:
            self._store_probe.suspect()
            raise
        except Unavailable:
            self._api_probe.suspect()
            raise

    def _back(self) -> None:
        """Retry failed keys and compare everything: notifications and events may have been lost during the outage."""
        self.queue.hurry()
        self.resync.soon()

    def _note_queue(self, taken: float) -> None:
        if self.notify_queue < _QUEUE_FULL <= taken:
            _log.warning(_NOTIFY_QUEUE, extra={"taken": taken})
        self.notify_queue = taken

    async def _count(self) -> None:
        while True:
            try:
                self._note_queue(await self._store.notify_queue())
                counted = await self._store.count()
            except StoreError as error:
                _log.warning("the runs were not counted: %s", error)
            else:
                self._metrics.count_runs((one.namespace, one.state.value, one.runs) for one in counted)
            await asyncio.sleep(_COUNT)


def pod_settings(settings: Settings) -> PodSettings:
    """The settings for pods of Workflows."""
    secret, key = settings.pod_database_secret, settings.pod_database_secret_key
    return PodSettings(
        database=settings.pod_database_url or "" if secret is None else SecretKey(secret, key),
        tls=DatabaseTls(
            mode=settings.pod_database_tls_mode,
            ca_secret=settings.pod_database_ca_secret,
            ca_config_map=settings.pod_database_ca_config_map,
            ca_key=settings.pod_database_ca_key,
            client_secret=settings.pod_database_client_secret,
        ),
        runtime_image=settings.runtime_image,
        runtime_user=settings.pod_user,
        lease_seconds=settings.lease_seconds,
        image_pull_policy=settings.image_pull_policy,
        image_pull_secrets=settings.image_pull_secrets,
        service_account=settings.pod_service_account,
        template=settings.pod_template,
        labels=Instance(settings.instance).labels,
    )
