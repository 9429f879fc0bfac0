"""The informer cache: each Workflow and its pods in the newest version that the operator has received.

Events, lists and the responses to the operator's own writes fill the cache. They may arrive late, twice or in another
order; the newest version of an object stays. The cache drops the long fields of each Workflow, and nearly all fields of
a settled one. It remembers a deleted Workflow until the reconciler has cancelled its run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from sys import intern
from typing import Any, Final, NamedTuple
from uuid import UUID

from ..api.names import GROUP, KIND, LABEL_WORKFLOW_UID
from ..api.parse import brief, parse_workflow
from ..api.pod_view import parse_pod
from ..api.untyped import items, mapping
from ..decide.observed import STALLED, Key, Pod, Workflow

__all__ = [
    "Cache",
    "CachedPod",
    "CachedUids",
    "CachedWorkflow",
    "Owner",
    "read_pod",
    "read_unsettled_workflow",
    "read_workflow",
    "seen_of",
]


@dataclass(frozen=True, slots=True)
class CachedWorkflow:
    """A Workflow in one version. `workflow` is None if it has finished and only its pods may need work."""

    key: Key
    uid: UUID
    version: str
    workflow: Workflow | None


class Owner(NamedTuple):
    """The Workflow to which a pod belongs by its owner reference.

    The namespace is the pod's own. A UID alone would not be enough: a user who may create pods in another namespace can
    write any UID into their labels and owner references.
    """

    key: Key
    uid: UUID


@dataclass(frozen=True, slots=True)
class CachedPod:
    """A pod of a Workflow in one version."""

    owner: Owner
    version: str
    pod: Pod


@dataclass(frozen=True, slots=True)
class CachedUids:
    """UIDs of Workflows, and of pods with their Workflows."""

    workflows: frozenset[UUID]
    pods: frozenset[tuple[Owner, str]]


def read_workflow(body: Mapping[str, Any]) -> CachedWorkflow:
    """Parse a Workflow; `workflow` is None if the Workflow is settled."""
    seen = read_unsettled_workflow(body)
    if seen.workflow is not None and seen.workflow.status.finished and _settled(seen.workflow):
        return replace(seen, workflow=None)
    return seen


def read_unsettled_workflow(body: Mapping[str, Any]) -> CachedWorkflow:
    """Parse a Workflow, and keep its fields even if it is settled."""
    return seen_of(parse_workflow(body))


def seen_of(workflow: Workflow) -> CachedWorkflow:
    """The cached form of a Workflow: without its long fields."""
    key = Key(intern(workflow.key.namespace), workflow.key.name)
    return CachedWorkflow(key, workflow.uid, workflow.resource_version, brief(workflow))


def read_pod(body: Mapping[str, Any]) -> CachedPod | None:
    """Parse a pod; None if no Workflow controls it. Its owner reference and its label must both name the Workflow."""
    metadata = mapping(body.get("metadata"))
    controller = next((one for one in items(metadata.get("ownerReferences")) if one.get("controller") is True), None)
    if controller is None or controller.get("kind") != KIND:
        return None
    if str(controller.get("apiVersion")).partition("/")[0] != GROUP:
        return None
    label = mapping(metadata.get("labels")).get(LABEL_WORKFLOW_UID)
    try:
        uid = UUID(str(controller.get("uid")))
    except ValueError:
        return None
    if label != str(uid):
        return None
    key = Key(intern(str(metadata.get("namespace"))), str(controller.get("name")))
    return CachedPod(Owner(key, uid), str(metadata.get("resourceVersion")), parse_pod(body))


def _settled(workflow: Workflow) -> bool:
    """Whether a finished Workflow needs no further work: no new generation, no restart, no time to live."""
    return (
        workflow.status.observed_generation == workflow.generation
        and workflow.restart == workflow.status.restart
        and (workflow.spec is None or workflow.spec.ttl_seconds_after_finished is None)
    )


_WENT: Final = 1_000
"""How many deleted pods are remembered. A thousand deletions take longer than any response to a write."""


class Cache:
    """Workflows by key, pods by key and UID of their Workflow."""

    def __init__(self) -> None:
        self._workflows: dict[Key, CachedWorkflow] = {}
        self._keys: dict[UUID, Key] = {}
        self._pods: dict[Owner, dict[str, CachedPod]] = {}
        self._departed: dict[Key, set[UUID]] = {}
        self._gone: set[str] | None = None
        self._went: dict[str, None] = {}

    def seen(self, key: Key) -> CachedWorkflow | None:
        """The Workflow of that name in its newest known version."""
        return self._workflows.get(key)

    def workflow(self, key: Key) -> Workflow | None:
        """The Workflow of that name; None if it is unknown or settled."""
        seen = self._workflows.get(key)
        return None if seen is None else seen.workflow

    def key_of(self, uid: UUID) -> Key | None:
        """The name of the Workflow with this UID."""
        return self._keys.get(uid)

    def settled(self, uid: UUID) -> bool:
        """Whether the Workflow with this UID is known and settled."""
        key = self._keys.get(uid)
        return key is not None and self._workflows[key].workflow is None

    def going_on(self) -> list[Key]:
        """Keys of all Workflows that are not settled."""
        return [
            key
            for key, seen in self._workflows.items()
            if seen.workflow is not None and not (seen.workflow.status.finished and _settled(seen.workflow))
        ]

    def stalled(self) -> Counter[tuple[str, ...]]:
        """How many Workflows are stalled, by namespace and reason."""
        statuses = (
            (key.namespace, seen.workflow.status)
            for key, seen in self._workflows.items()
            if seen.workflow is not None and not seen.workflow.status.finished
        )
        return Counter(
            (namespace, status.conditions[STALLED].reason) for namespace, status in statuses if status.says(STALLED)
        )

    def read(self, body: Mapping[str, Any]) -> CachedWorkflow:
        """Parse a Workflow, unless the cache has this version. May be called in any thread."""
        metadata = body["metadata"]
        known = self._workflows.get(Key(metadata["namespace"], metadata["name"]))
        if known is not None and metadata["resourceVersion"] == known.version and metadata["uid"] == str(known.uid):
            return known
        return read_workflow(body)

    def pods(self, key: Key, uid: UUID) -> list[Pod]:
        """The pods of a Workflow."""
        return [seen.pod for seen in self._pods.get(Owner(key, uid), {}).values()]

    def node_of(self, uid: UUID) -> str | None:
        """The node of the newest attempt's pod; None if it is unknown."""
        key = self._keys.get(uid)
        pods = [] if key is None else self.pods(key, uid)
        return max(pods, key=lambda pod: pod.attempt).node if pods else None

    def departed(self, key: Key) -> set[UUID]:
        """UIDs of deleted Workflows of that name whose runs the reconciler has not cancelled yet."""
        return set(self._departed.get(key, ()))

    def forget_departed(self, key: Key, uid: UUID) -> None:
        """Note that the reconciler has cancelled the run of a deleted Workflow."""
        left = self._departed.get(key, set())
        left.discard(uid)
        if not left:
            self._departed.pop(key, None)

    def saw_workflow(self, seen: CachedWorkflow) -> bool:
        """Take a version of a Workflow. Returns whether the Workflow is to be reconciled."""
        if self._gone is not None and str(seen.uid) in self._gone:
            return False
        known = self._workflows.get(seen.key)
        if known is not None:
            if not _newer(seen.version, known.version):
                if known.workflow is None and (known.uid, known.version) == (seen.uid, seen.version):
                    # The event of a write arrived before the response to that write, and `read_workflow` left out the
                    # fields of a settled Workflow. The response has them; the reconciler needs them for the pods.
                    self._workflows[seen.key] = seen
                return False
            if known.uid != seen.uid:
                self._depart(known)
        self._workflows[seen.key] = seen
        self._keys[seen.uid] = seen.key
        has_pods = Owner(seen.key, seen.uid) in self._pods
        return seen.workflow is not None or has_pods or seen.key in self._departed

    def take_up(self, seen: CachedWorkflow) -> None:
        """Keep all fields of a finished Workflow until `lay_down`, so that the reconciler can work on it."""
        if (known := self._workflows.get(seen.key)) is None or known.uid == seen.uid:
            self._workflows[seen.key] = seen
            self._keys[seen.uid] = seen.key

    def lay_down(self, key: Key) -> None:
        """Drop the fields of a settled Workflow once it has no more pods."""
        known = self._workflows.get(key)
        if known is not None and known.workflow is not None and known.workflow.status.finished:
            settled = _settled(known.workflow) and Owner(key, known.uid) not in self._pods
            self._workflows[key] = replace(known, workflow=None) if settled else known

    def saw_workflow_gone(self, key: Key, uid: UUID) -> None:
        """Note that a Workflow was deleted."""
        if self._gone is not None:
            self._gone.add(str(uid))
        known = self._workflows.get(key)
        if known is not None and known.uid == uid:
            self._depart(known)
            del self._workflows[key]
        else:
            self._departed.setdefault(key, set()).add(uid)

    def saw_pod(self, seen: CachedPod) -> bool:
        """Take a version of a pod. Returns whether it differs from the known one."""
        if seen.pod.uid in self._went:
            return False
        pods = self._pods.setdefault(seen.owner, {})
        known = pods.get(seen.pod.uid)
        if known is not None and not _newer(seen.version, known.version):
            return False
        pods[seen.pod.uid] = seen
        return known is None or known.pod != seen.pod

    def saw_pod_gone(self, owner: Owner, pod: str) -> None:
        """Note that a pod was deleted."""
        if self._gone is not None:
            self._gone.add(pod)
        # The event of the deletion can arrive before the response to the creation, which must not bring the pod back.
        self._went[pod] = None
        if len(self._went) > _WENT:
            del self._went[next(iter(self._went))]
        pods = self._pods.get(owner, {})
        pods.pop(pod, None)
        if not pods:
            self._pods.pop(owner, None)

    def expect_list(self) -> None:
        """Begin to record deletions: lists that are about to be read may hold objects that are deleted meanwhile."""
        self._gone = set()

    def saw_lists(self, workflows: Iterable[CachedWorkflow], pods: Iterable[CachedPod], before: CachedUids) -> set[Key]:
        """Correct the cache by complete lists. Returns the Workflows that are to be reconciled.

        `before` holds the UIDs that were known before the lists were requested. Those of them that the lists lack were
        deleted. Objects that became known later may be missing in the lists and exist all the same.
        """
        changed: set[Key] = set()
        listed: set[UUID] = set()
        for workflow in workflows:
            listed.add(workflow.uid)
            if self.saw_workflow(workflow):
                changed.add(workflow.key)
        for uid in before.workflows - listed:
            if (key := self._keys.get(uid)) is not None:
                self.saw_workflow_gone(key, uid)
                changed.add(key)
        listed_pods: set[str] = set()
        for seen in pods:
            listed_pods.add(seen.pod.uid)
            if self._gone is None or seen.pod.uid not in self._gone:
                self._went.pop(seen.pod.uid, None)  # restored from a backup, or its labels were
            if self.saw_pod(seen):
                changed.add(seen.owner.key)
        for owner, pod in before.pods - {(owner, pod) for owner, pod in before.pods if pod in listed_pods}:
            if pod in self._pods.get(owner, {}):
                changed.add(owner.key)
                self.saw_pod_gone(owner, pod)
        self._gone = None
        return changed

    def known(self) -> CachedUids:
        """The UIDs of all cached Workflows and pods."""
        pods = {(owner, pod) for owner, ours in self._pods.items() for pod in ours}
        return CachedUids(frozenset(self._keys), frozenset(pods))

    def without(self, known: CachedUids, namespaces: Collection[str]) -> CachedUids:
        """`known` without the objects of these namespaces."""
        if not namespaces:
            return known
        keys = self._keys
        return CachedUids(
            frozenset(uid for uid in known.workflows if uid not in keys or keys[uid].namespace not in namespaces),
            frozenset((owner, pod) for owner, pod in known.pods if owner.key.namespace not in namespaces),
        )

    def _depart(self, workflow: CachedWorkflow) -> None:
        self._keys.pop(workflow.uid, None)
        self._departed.setdefault(workflow.key, set()).add(workflow.uid)

    def __len__(self) -> int:
        return len(self._workflows)


def _newer(version: str, known: str) -> bool:
    """Whether a resourceVersion is later. Versions that are not numbers count as later whenever they differ."""
    if version.isdecimal() and known.isdecimal():
        return int(version) > int(known)
    return version != known
