"""The operator's metrics for Prometheus. Each has its description beside its definition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from perdure.attempt_ends import AttemptEnd

__all__ = ["Metrics"]

_PREFIX = "perdure_operator"
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SLOW = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 20, 30, 60, 120, 300, 600)


class _Counts(Collector):
    """Gauges whose values are computed at each scrape."""

    def __init__(
        self, name: str, what: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], int]]
    ) -> None:
        self._described = (name, what)
        self._labels = labels
        self._read = read

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The current values."""
        family = GaugeMetricFamily(*self._described, labels=self._labels)
        for values, count in self._read().items():
            family.add_metric(values, count)
        yield family


class Metrics:
    """All metrics of one process: of the work queue, of calls of the Kubernetes API, of runs and of resyncs."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._adds = self._counter("queue_adds", "Workflows that were put on the work queue.")
        self._waits = self._histogram("queue_wait_seconds", "From a Workflow's turn being due to its begin.", _FAST)
        self._reconciles = self._counter("reconciles", "Reconciles that ended, by what they ended with.", "outcome")
        self._retries = self._counter("queue_retries", "Reconciles that failed and will be tried again.")
        self._took = self._histogram("reconcile_seconds", "How long reconciles took.", _FAST)
        self._calls = self._counter(
            "api_requests", "Requests to the Kubernetes API; code none: no answer.", "verb", "resource", "code"
        )
        self._call_seconds = self._histogram(
            "api_request_seconds", "How long requests to the Kubernetes API took.", _FAST, "verb"
        )
        self._attempts = self._counter("attempts_ended", "Attempts that were seen to end, by how they ended.", "ending")
        self._runs_ended = self._counter("runs_ended", "Runs that were seen to end, by state.", "state")
        self._begin = self._histogram(
            "claim_to_begin_seconds", "From the claim of an attempt to the begin of its process.", _SLOW
        )
        self._step = self._histogram(
            "claim_to_first_step_seconds",
            "From the claim of an attempt to the start of its first step, measured once that step is finished.",
            _SLOW,
        )
        self._given_back = self._counter(
            "places_given_back",
            "Attempts that could not start and gave their places to others, by what kept them.",
            "namespace",
            "reason",
        )
        self._runs = self._gauge("runs", "Runs in the store, by state.", "namespace", "state")
        self._resync_seconds = self._histogram("resync_seconds", "How long resyncs took.", _SLOW)
        self._resyncs = self._counter("resyncs", "Resyncs that ended, by what they ended with.", "outcome")
        self._sweeps = self._counter("sweeps", "Sweeps of old runs that ended, by what they ended with.", "outcome")
        self._unreadable = self._gauge(
            "namespace_unreadable", "1 for each watched namespace that could not be read lately.", "namespace"
        )
        self._orphans = self._counter("orphans_cancelled", "Runs that were cancelled because their Workflow is gone.")

    def watch(self, name: str, what: str, read: Callable[[], float]) -> None:
        """Add a gauge whose value is computed at each scrape."""
        self._gauge(name, what).set_function(read)

    def watch_counts(
        self, name: str, what: str, labels: Sequence[str], read: Callable[[], Mapping[tuple[str, ...], int]]
    ) -> None:
        """Add gauges that are computed at each scrape, by the values of their labels."""
        self._registry.register(_Counts(f"{_PREFIX}_{name}", what, labels, read))

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)

    # The queue's meter.

    def added(self) -> None:
        """A key was added that was not due already."""
        self._adds.inc()

    def taken(self, waited: float) -> None:
        """Work on a key begins, so many seconds after it was due."""
        self._waits.observe(waited)

    def worked(self, seconds: float, error: str | None) -> None:
        """Work on a key has ended, with the name of its exception."""
        self._took.observe(seconds)
        self._reconciles.labels(error or "done").inc()
        if error is not None:
            self._retries.inc()

    # Calls of the Kubernetes API.

    def called(self, verb: str, resource: str, code: str, seconds: float) -> None:
        """A call was answered with `code`, or `none` if there was no answer."""
        self._calls.labels(verb, resource, code).inc()
        self._call_seconds.labels(verb).observe(seconds)

    # Runs.

    def attempt_ended(self, ending: AttemptEnd) -> None:
        """An attempt was seen to have ended."""
        self._attempts.labels(ending).inc()

    def run_ended(self, state: str) -> None:
        """A run was seen to have ended."""
        self._runs_ended.labels(state).inc()

    def attempt_began(self, after: float) -> None:
        """An attempt's process began so many seconds after its claim."""
        self._begin.observe(after)

    def attempt_stepped(self, after: float) -> None:
        """An attempt's first step was begun so many seconds after its claim."""
        self._step.observe(after)

    def gave_way(self, namespace: str, reason: str) -> None:
        """An attempt that could not start gave its place to another run."""
        self._given_back.labels(namespace, reason).inc()

    def count_runs(self, counted: Iterable[tuple[str, str, int]]) -> None:
        """How many runs there are, by namespace and state."""
        self._runs.clear()
        for namespace, state, runs in counted:
            self._runs.labels(namespace, state).inc(runs)

    def stand_by(self) -> None:
        """Drop the counts of runs and namespaces: the new leader reports them."""
        self._runs.clear()
        self._unreadable.clear()

    # Resyncs.

    def resynced(self, seconds: float, error: str | None) -> None:
        """A resync has ended, with the name of its exception."""
        self._resync_seconds.observe(seconds)
        self._resyncs.labels(error or "done").inc()

    def swept(self, error: str | None) -> None:
        """A sweep has ended, with the name of its exception."""
        self._sweeps.labels(error or "done").inc()

    def unreadable(self, namespaces: Iterable[str]) -> None:
        """The namespaces that the last comparison could not read."""
        self._unreadable.clear()
        for namespace in namespaces:
            self._unreadable.labels(namespace).set(1)

    def orphan_cancelled(self) -> None:
        """A run was cancelled because its Workflow was deleted."""
        self._orphans.inc()

    def _counter(self, name: str, what: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", what, labels, registry=self._registry)

    def _gauge(self, name: str, what: str, *labels: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", what, labels, registry=self._registry)

    def _histogram(self, name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", what, labels, registry=self._registry, buckets=buckets)
