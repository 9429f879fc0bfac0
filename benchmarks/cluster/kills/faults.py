"""The kinds of faults: what each strikes, chosen at random among what is there, and how often it comes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from random import Random

from tests.cluster import pods
from tests.cluster.api import Json
from tests.cluster.cluster import Capability, Cluster
from tests.cluster.faults import control_plane
from tests.cluster.faults.pods import delete, evict
from tests.cluster.product import operator, pod_faults, postgres
from tests.cluster.product.installation import Installation
from tests.cluster.product.leadership import holder
from tests.harness.eventually import eventually

__all__ = ["OF_RUNS", "OF_THE_REST", "Kind", "Missed", "Scene"]

_BACK = 90.0  # seconds


class Missed(Exception):
    """There was nothing to strike, or it had gone by the time."""


@dataclass(frozen=True, slots=True)
class Scene:
    """An installation under load, and the namespace of the load; faults are chosen by `random`."""

    installation: Installation
    namespace: str
    random: Random
    held: set[str] = field(default_factory=set)
    """The names of pods that are held: nothing else strikes them, or hardly one would ever go on."""

    @property
    def cluster(self) -> Cluster:
        return self.installation.cluster

    def running(self) -> Json:
        """A pod of the load whose container runs."""
        return self._any("status.phase=Running")

    def alive(self) -> Json:
        """A pod of the load that has not ended; it may not have begun."""
        return self._any("status.phase!=Succeeded,status.phase!=Failed")

    def _any(self, fields: str) -> Json:
        found = self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/pods", fieldSelector=fields)["items"]
        there = [
            pod
            for pod in found
            if "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["name"] not in self.held
        ]
        if not there:
            raise Missed("no such pod")
        return dict(self.random.choice(there))

    def postgres(self) -> Json:
        """The pod of Postgres."""
        found = self.cluster.api.find(f"/api/v1/namespaces/{self.installation.namespace}/pods/{postgres.NAME}-0")
        if found is None:
            raise Missed("no Postgres")
        return found

    def operators(self) -> list[Json]:
        """The pods of the operators, first the one that leads."""
        path = f"/api/v1/namespaces/{self.installation.namespace}/pods"
        found = self.cluster.api.get(path, labelSelector=f"app={operator.NAME}")["items"]
        leads = holder(self.installation)
        of_leader = [pod for pod in found if leads.startswith(pod["metadata"]["name"])]
        if not of_leader:
            raise Missed("nobody leads")
        return [*of_leader, *(pod for pod in found if pod not in of_leader)]

    def until_all_is_back(self) -> None:
        """Wait until Postgres and both operators are ready again."""
        api, namespace = self.cluster.api, self.installation.namespace
        postgres.until_ready(api, namespace)
        operator.until_available(api, namespace, 2)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what it is called in the report, how often it is chosen beside others, and what it does."""

    title: str
    weight: float
    strike: Callable[[Scene], None]
    needs: Capability = Capability.NODE_COMMANDS


# What strikes one run.


def _user_process(scene: Scene) -> None:
    pod_faults.kill_user_process(scene.cluster, scene.running())


def _supervisor(scene: Scene) -> None:
    pod_faults.kill_supervisor(scene.cluster, scene.running())


def _container(scene: Scene) -> None:
    pod_faults.kill_container(scene.cluster, scene.running())


def _pod_at_once(scene: Scene) -> None:
    delete(scene.cluster, scene.namespace, scene.alive()["metadata"]["name"], grace=0)


def _pod_in_order(scene: Scene) -> None:
    delete(scene.cluster, scene.namespace, scene.alive()["metadata"]["name"])


def _eviction(scene: Scene) -> None:
    evict(scene.cluster, scene.namespace, scene.alive()["metadata"]["name"])


def _supervisor_held(scene: Scene) -> None:
    _hold(scene, pod_faults.paused)


def _container_held(scene: Scene) -> None:
    _hold(scene, pod_faults.all_paused)


def _hold(scene: Scene, paused: Callable[[Cluster, Json], AbstractContextManager[None]]) -> None:
    pod, held = scene.running(), False
    name = pod["metadata"]["name"]
    scene.held.add(name)
    try:
        with paused(scene.cluster, pod):
            held = True
            # The lease is 6 s; now and then it is a close thing.
            time.sleep(scene.random.uniform(5.5, 14))
    except RuntimeError:
        # It has ended meanwhile, or was never there.
        if not held:
            raise
    finally:
        scene.held.discard(name)


def _connection(scene: Scene) -> None:
    ended = scene.installation.store.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'perdure_shared'"
        " ORDER BY random() LIMIT 1"
    )
    if not ended:
        raise Missed("no connection")


OF_RUNS = [
    Kind("user process: SIGKILL", 26, _user_process),
    Kind("supervisor: SIGKILL", 14, _supervisor),
    Kind("container: SIGKILL", 12, _container),
    Kind("pod deleted without grace", 12, _pod_at_once),
    Kind("pod deleted", 10, _pod_in_order),
    Kind("pod evicted", 6, _eviction),
    Kind("supervisor held past the lease", 6, _supervisor_held),
    Kind("container held past the lease", 6, _container_held),
    Kind("connection to Postgres ended", 8, _connection),
]


# What strikes all of them.


def _kill_once(scene: Scene, pod: Json, container: str) -> None:
    # One that was killed before would be back later and later; another pod's comes at once.
    if pods.status(pod, container)["restartCount"]:
        raise Missed("killed before")
    pod_faults.kill_container(scene.cluster, pod, container)


def _leader(scene: Scene) -> None:
    _kill_once(scene, scene.operators()[0], "operator")


def _standby(scene: Scene) -> None:
    _, *others = scene.operators()
    if not others:
        raise Missed("nobody stands by")
    _kill_once(scene, others[0], "operator")


def _leaders_pod(scene: Scene) -> None:
    delete(scene.cluster, scene.installation.namespace, scene.operators()[0]["metadata"]["name"], grace=0)


def _leader_held(scene: Scene) -> None:
    with pod_faults.paused(scene.cluster, scene.operators()[0], "operator"):
        time.sleep(scene.random.uniform(14, 22))  # its Lease is one of 15 s


def _postgres(scene: Scene) -> None:
    _kill_once(scene, scene.postgres(), "postgres")


_KILL_BACKEND = """
import os, random, signal
found = []
for pid in filter(str.isdigit, os.listdir("/proc")):
    try:
        if open(f"/proc/{pid}/cmdline").read().startswith("postgres: perdure"):
            found.append(int(pid))
    except OSError:
        continue
os.kill(random.choice(found), signal.SIGKILL)
"""


def _backend(scene: Scene) -> None:
    # Postgres ends all other connections, too, and recovers as after a crash.
    name, command = f"{postgres.NAME}-0", ["python3", "-IS", "-c", _KILL_BACKEND]
    pods.run_in(scene.cluster, scene.installation.namespace, name, command, "postgres")


def _postgres_pod(scene: Scene) -> None:
    # Not without grace: two servers could then run on one volume, which Kubernetes leaves to who asks for that.
    before = scene.postgres()
    delete(scene.cluster, scene.installation.namespace, before["metadata"]["name"], grace=scene.random.randint(1, 5))

    def another() -> bool:
        try:
            return not _same(scene.postgres(), before)
        except Missed:
            return False

    eventually(another, _BACK, every=0.5)


def _api_server(scene: Scene) -> None:
    control_plane.restart(scene.cluster, "kube-apiserver")


def _etcd(scene: Scene) -> None:
    control_plane.restart(scene.cluster, "etcd")


def _kubelet(scene: Scene) -> None:
    scene.cluster.part("kubelet", scene.random.choice(scene.cluster.nodes)).restart()


def _same(one: Json, other: Json) -> bool:
    return bool(one["metadata"]["uid"] == other["metadata"]["uid"])


OF_THE_REST = [
    Kind("operator that leads: SIGKILL", 14, _leader),
    Kind("operator that stands by: SIGKILL", 6, _standby),
    Kind("pod of the operator that leads deleted without grace", 10, _leaders_pod),
    Kind("operator that leads held past its Lease", 8, _leader_held),
    Kind("Postgres: SIGKILL", 12, _postgres),
    Kind("a server process of Postgres: SIGKILL", 14, _backend),
    Kind("pod of Postgres deleted", 10, _postgres_pod),
    Kind("API server: SIGKILL", 10, _api_server, Capability.CONTROL_PLANE),
    Kind("etcd: SIGKILL", 6, _etcd, Capability.CONTROL_PLANE),
    Kind("kubelet: SIGKILL", 10, _kubelet, Capability.NODE_PARTS),
]
