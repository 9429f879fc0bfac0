"""What is remembered of the cluster, whatever order it is told in."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from perdure_operator.controller.cache import Cache, CachedPod, Owner, read_pod, read_unsettled_workflow, read_workflow
from perdure_operator.decide.observed import Key, Spec, Workflow

KEY = Key("shop", "one")


def workflow(uid: UUID, version: int, *, finished: bool = False, **spec: Any):
    conditions = [
        {"type": "Finished", "status": "True", "reason": "Succeeded", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    ]
    return {
        "metadata": {
            "namespace": "shop",
            "name": "one",
            "uid": str(uid),
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {"entrypoint": "bank:transfer", "input": {"amount": 1}, **spec},
        "status": {"observedGeneration": 1, "conditions": conditions if finished else []},
    }


def owner_reference(owner: UUID, **fields: Any):
    return {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "name": "one",
        "uid": str(owner),
        "controller": True,
        **fields,
    }


def pod(owner: UUID, version: int, name: str = "one-1"):
    return {
        "metadata": {
            "namespace": "shop",
            "name": name,
            "uid": name,
            "resourceVersion": str(version),
            "labels": {"perdure.io/workflow-uid": str(owner), "perdure.io/attempt": "1"},
            "ownerReferences": [owner_reference(owner)],
        },
        "spec": {},
        "status": {"phase": "Pending"},
    }


def seen_pod(owner: UUID, version: int, name: str = "one-1") -> CachedPod:
    seen = read_pod(pod(owner, version, name))
    assert seen is not None
    return seen


def known(cache: Cache) -> Workflow:
    workflow = cache.workflow(KEY)
    assert workflow is not None
    return workflow


def spec(cache: Cache) -> Spec:
    spec = known(cache).spec
    assert spec is not None
    return spec


def test_the_newest_version_stays():
    cache, uid = Cache(), uuid4()
    assert cache.saw_workflow(read_workflow(workflow(uid, 9, suspend=True)))
    assert not cache.saw_workflow(read_workflow(workflow(uid, 8)))
    assert not cache.saw_workflow(read_workflow(workflow(uid, 9)))
    assert spec(cache).suspend
    assert cache.saw_workflow(read_workflow(workflow(uid, 10)))
    assert not spec(cache).suspend


def test_a_workflow_made_anew_leaves_the_other_to_be_seen_to():
    cache, first, second = Cache(), uuid4(), uuid4()
    cache.saw_workflow(read_workflow(workflow(first, 1)))
    cache.saw_workflow(read_workflow(workflow(second, 5)))
    assert cache.departed(KEY) == {first}
    assert (cache.key_of(first), cache.key_of(second)) == (None, KEY)
    cache.saw_workflow_gone(KEY, first)  # told late
    assert known(cache).uid == second
    cache.forget_departed(KEY, first)
    assert cache.departed(KEY) == set()


def test_of_a_finished_workflow_nothing_is_kept_but_who_it_is():
    cache, uid = Cache(), uuid4()
    assert not cache.saw_workflow(read_workflow(workflow(uid, 1, finished=True)))
    assert cache.workflow(KEY) is None
    assert cache.key_of(uid) == KEY
    assert cache.going_on() == []
    assert cache.saw_workflow(read_workflow(workflow(uid, 2, finished=True, ttlSecondsAfterFinished=5)))
    assert spec(cache).ttl_seconds_after_finished == 5
    assert spec(cache).input == "null"


def test_a_known_version_is_not_read_again():
    cache, uid = Cache(), uuid4()
    seen = read_workflow(workflow(uid, 1))
    cache.saw_workflow(seen)
    assert cache.read(workflow(uid, 1)) is seen
    assert cache.read(workflow(uid, 2)) is not seen
    assert cache.read(workflow(uuid4(), 1)) is not seen


def test_lists_correct_what_events_did_not_tell():
    cache, kept, gone, new = Cache(), uuid4(), uuid4(), uuid4()
    for uid, name in ((kept, "kept"), (gone, "gone")):
        body = workflow(uid, 1)
        body["metadata"]["name"] = name
        cache.saw_workflow(read_workflow(body))
        cache.saw_pod(seen_pod(uid, 1, f"{name}-1"))
    before = cache.known()
    cache.expect_list()
    body = workflow(kept, 1)
    body["metadata"]["name"] = "kept"
    changed = cache.saw_lists([read_workflow(body), read_workflow(workflow(new, 3))], [], before)
    assert changed == {Key("shop", "gone"), Key("shop", "one")}
    assert cache.departed(Key("shop", "gone")) == {gone}
    assert cache.pods(KEY, kept) == []


def test_what_went_while_a_list_was_read_does_not_come_back_with_it():
    cache, uid = Cache(), uuid4()
    seen, its = read_workflow(workflow(uid, 1)), seen_pod(uid, 1)
    cache.saw_workflow(seen)
    cache.saw_pod(its)
    before = cache.known()
    cache.expect_list()
    cache.saw_workflow_gone(KEY, uid)
    cache.saw_pod_gone(Owner(KEY, uid), "one-1")
    cache.saw_lists([seen], [its], before)
    assert cache.seen(KEY) is None
    assert cache.pods(KEY, uid) == []
    assert cache.departed(KEY) == {uid}


def test_what_came_while_a_list_was_read_is_not_taken_for_gone():
    cache, uid = Cache(), uuid4()
    before = cache.known()
    cache.expect_list()
    cache.saw_workflow(read_workflow(workflow(uid, 7)))
    cache.saw_pod(seen_pod(uid, 8))
    cache.saw_lists([], [], before)
    assert known(cache).uid == uid
    assert len(cache.pods(KEY, uid)) == 1


def test_pods_of_nobody_are_not_remembered():
    body = pod(uuid4(), 1)
    body["metadata"]["labels"]["perdure.io/workflow-uid"] = "no-uid"
    assert read_pod(body) is None
    body = pod(uuid4(), 1)
    del body["metadata"]["ownerReferences"]
    assert read_pod(body) is None


def test_the_answer_to_the_write_that_finishes_a_workflow_counts_though_its_event_came_first() -> None:
    uid = uuid4()
    cache = Cache()
    cache.saw_workflow(read_workflow(workflow(uid, 1)))
    cache.saw_workflow(read_workflow(workflow(uid, 2, finished=True)))
    assert cache.workflow(KEY) is None
    assert not cache.saw_workflow(read_unsettled_workflow(workflow(uid, 2, finished=True)))
    assert known(cache).uid == uid
    assert not cache.saw_workflow(read_unsettled_workflow(workflow(uid, 1)))
    assert known(cache).resource_version == "2"


@pytest.mark.parametrize(
    "reference",
    [
        {"controller": False},
        {"controller": None},
        {"kind": "Job"},
        {"apiVersion": "other.io/v1alpha1"},
        {"apiVersion": None},
        {"uid": str(uuid4())},
        {"uid": "none"},
    ],
)
def test_a_pod_whose_owner_reference_does_not_name_a_workflow_as_its_controller_is_nobodys(reference) -> None:
    uid = uuid4()
    body = pod(uid, 1)
    assert read_pod(body) is not None
    body["metadata"]["ownerReferences"] = [owner_reference(uid, **reference)]
    assert read_pod(body) is None


def test_a_pod_without_the_label_of_its_controller_is_nobodys() -> None:
    body = pod(uuid4(), 1)
    body["metadata"]["labels"]["perdure.io/workflow-uid"] = str(uuid4())
    assert read_pod(body) is None
    body["metadata"]["labels"] = None
    assert read_pod(body) is None


def test_a_pod_of_another_namespace_or_name_is_not_the_workflows_though_it_bears_its_uid() -> None:
    cache, uid = Cache(), uuid4()
    cache.saw_workflow(read_workflow(workflow(uid, 1)))
    elsewhere, other_name = pod(uid, 2), pod(uid, 3)
    elsewhere["metadata"]["namespace"] = "attacker"
    other_name["metadata"]["ownerReferences"] = [owner_reference(uid, name="two")]
    for body in (elsewhere, other_name):
        seen = read_pod(body)
        assert seen is not None
        cache.saw_pod(seen)
        assert seen.owner.key != KEY
    assert cache.pods(KEY, uid) == []
    cache.saw_pod(seen_pod(uid, 4))
    assert [one.name for one in cache.pods(KEY, uid)] == ["one-1"]


def test_those_that_wait_for_a_person_are_counted_by_namespace_and_reason() -> None:
    def body(name: str, reason: str, **conditions: str) -> dict[str, Any]:
        made: dict[str, Any] = workflow(uuid4(), 1)
        made["metadata"]["name"] = name
        since = "2026-01-01T00:00:00Z"
        made["status"]["conditions"] = [
            {"type": kind, "status": status, "reason": reason, "lastTransitionTime": since}
            for kind, status in conditions.items()
        ]
        return made

    cache = Cache()
    for found in (
        body("goes-on", "Running", Finished="False", Reconciling="True"),
        body("waits", "ImagePullFailed", Finished="False", Stalled="True"),
        body("waits-too", "ImagePullFailed", Finished="False", Stalled="True"),
        body("refused", "PodRefused", Finished="False", Stalled="True"),
        # That did not end well. It waits for nobody.
        body("failed", "Failed", Finished="True", Stalled="True"),
    ):
        cache.saw_workflow(read_workflow(found))
    assert cache.stalled() == {("shop", "ImagePullFailed"): 2, ("shop", "PodRefused"): 1}


def test_a_pod_that_went_before_the_answer_to_its_creation_does_not_come_back():
    cache, uid = Cache(), uuid4()
    cache.saw_workflow(read_workflow(workflow(uid, 1)))
    cache.saw_pod_gone(Owner(KEY, uid), "one-1")
    assert not cache.saw_pod(seen_pod(uid, 2))
    assert cache.pods(KEY, uid) == []


def test_a_pod_that_is_listed_again_is_there_again():
    cache, uid = Cache(), uuid4()
    cache.saw_workflow(read_workflow(workflow(uid, 1)))
    cache.saw_pod_gone(Owner(KEY, uid), "one-1")
    before = cache.known()
    cache.expect_list()
    cache.saw_lists([read_workflow(workflow(uid, 1))], [seen_pod(uid, 2)], before)
    assert len(cache.pods(KEY, uid)) == 1
