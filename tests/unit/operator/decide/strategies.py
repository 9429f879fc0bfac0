"""Any observed world at all, however unlikely: its parts are drawn independently, from few values each."""

from __future__ import annotations

from datetime import datetime, timedelta

from hypothesis import strategies as st

from perdure.attempt_ends import AttemptEnd
from perdure.store.runs.model import RunState
from perdure_operator.decide.observed import (
    Condition,
    ContainerEnd,
    Ended,
    Key,
    Limits,
    Observed,
    Pod,
    PodPhase,
    Policy,
    Run,
    Spec,
    Stage,
    Status,
    Workflow,
)
from tests.unit.operator.decide.builders import NOW, OTHER_STORE, STORE, UID, token

texts = st.sampled_from(["", "a", "exceeded quota", "is being terminated", "node lost", "\ud800\x00ü" * 400])
maybe_text = st.none() | texts
images = st.sampled_from(["sha256:1", "sha256:2", "a@sha256:1", "a@sha256:2", ""])
seconds = st.sampled_from([-1e12, -700.0, -1.0, 0.0, 0.5, 29.0, 31.0, 601.0, 1e12])
counts = st.sampled_from([0, 1, 2, 3, 7, 21, 10**9])
moments = st.sampled_from(
    [NOW + timedelta(seconds=one) for one in (-1e8, -700, -31, 0, 5, 1e8)]
    + [datetime(1, 1, 1, tzinfo=NOW.tzinfo), datetime(9999, 12, 31, tzinfo=NOW.tzinfo), NOW.replace(tzinfo=None)]
)
claims = st.none() | st.sampled_from([token(1), token(2), token(1, other=1)])
stores = st.sampled_from([STORE, OTHER_STORE])
words = st.sampled_from(
    [
        "crashed",
        "lost",
        "never begun",
        "released",
        "evicted",
        "node lost",
        "superseded",
        "store unreachable",
        "could not start",
        "begun elsewhere",
        "odd",
    ]
)
reasons = st.sampled_from(
    ["Running", "Starting", "BackingOff", "Suspended", "Succeeded", "Failed", "CheckpointsMissing", "odd", ""]
)

limits = st.builds(
    Limits,
    backoff_limit=counts,
    deadline_seconds=st.none() | seconds,
    suspend=st.booleans(),
    cancel=st.booleans(),
)
endings = st.builds(
    Ended,
    attempt=counts,
    ending=st.sampled_from(AttemptEnd),
    code=st.none() | counts,
    signal=st.none() | counts,
    detail=maybe_text,
    at=moments,
)
runs = st.builds(
    Run,
    state=st.sampled_from(RunState),
    attempt=counts,
    claim=claims,
    begun=st.booleans(),
    limits=limits,
    claimed_for=seconds,
    silent=maybe_text,
    crashes=counts,
    disruptions=counts,
    due_in=seconds,
    delay=seconds,
    deadline_in=st.none() | seconds,
    steps=counts,
    current_step=maybe_text,
    result=st.none() | st.sampled_from(["", "null", '{"a": 1}', "x" * 9000]),
    result_bytes=counts,
    error=st.none() | st.sampled_from(["", "{", '{"type": 1, "message": {}}', '{"type": "\ud800", "message": "m"}']),
    started=st.none() | moments,
    finished=st.none() | moments,
    last=st.none() | endings,
    image=st.none() | images,
    first_image=st.none() | st.tuples(counts, images),
    cleanup_left=st.none() | seconds,
    cleans_up=st.booleans(),
)
ends = st.builds(
    ContainerEnd,
    exit_code=st.sampled_from([-1, 0, 1, 64, 69, 75, 76, 78, 79, 137, 143, 255, 10**6]),
    reason=st.sampled_from(["", "OOMKilled", "Error", "Completed"]),
    message=texts,
)
waits = st.tuples(
    st.sampled_from(["", "ImagePullBackOff", "Unschedulable", "PodInitializing", "CreateContainerError", "odd"]), texts
)
pods = st.builds(
    Pod,
    name=st.sampled_from(["a-1", "a-2"]),
    uid=st.sampled_from(["u-1", "u-2", "u-3"]),
    attempt=counts,
    claim=claims,
    phase=st.sampled_from(PodPhase),
    created=moments,
    node=st.none() | st.just("node-1"),
    deleting=st.booleans(),
    waiting=st.none() | waits,
    end=st.none() | ends,
    disrupted=maybe_text,
    finished_at=st.none() | moments,
    stage=st.sampled_from(Stage),
    progressed=st.none() | moments,
    image_id=st.none() | images,
    generation=st.none() | counts,
)
conditions = st.dictionaries(
    st.sampled_from(["Finished", "Succeeded", "Reconciling", "Stalled", "Ready"]),
    st.builds(
        Condition,
        type=st.just("x"),
        status=st.sampled_from(["True", "False", "Unknown", ""]),
        reason=reasons,
        message=texts,
        since=moments,
        generation=counts,
    ),
)
statuses = st.builds(
    Status,
    observed_generation=st.none() | counts,
    store_id=st.none() | stores,
    phase=maybe_text,
    conditions=conditions,
    start_time=st.none() | moments,
    completion_time=st.none() | moments,
    attempts=counts,
    steps_completed=counts,
    current_step=maybe_text,
    result=maybe_text,
    error_type=maybe_text,
    error_message=maybe_text,
    pod_name=maybe_text,
    restart=st.none() | st.sampled_from(["", "yes"]),
    cancel_time=st.none() | moments,
)
specs = st.builds(
    Spec,
    entrypoint=texts,
    input=texts,
    source_config_map=maybe_text,
    backoff_limit=counts,
    active_deadline_seconds=st.none() | counts,
    ttl_seconds_after_finished=st.none() | counts,
    suspend=st.booleans(),
    cancel=st.booleans(),
    grace_seconds=st.sampled_from([None, 0.0, 5.0, 1e8]),
)
workflows = st.builds(
    Workflow,
    key=st.just(Key("shop", "a")),
    uid=st.just(UID),
    generation=counts,
    created=moments,
    spec=st.none() | specs,
    problem=maybe_text,
    status=st.just(Status()) | statuses,
    deleting=st.booleans(),
    restart=st.none() | st.sampled_from(["", "yes", "again"]),
)
anything = st.builds(
    Observed,
    workflow=workflows,
    run=st.none() | runs,
    pods=st.lists(pods, max_size=4),
    store_id=stores,
    now=st.sampled_from([NOW, NOW + timedelta(days=400)]),
    capacity=maybe_text,
    left_alone=maybe_text,
    refused=maybe_text,
    refused_for=seconds,
    refused_generation=st.none() | counts,
    pod_gone=st.booleans(),
    pod_met=st.booleans(),
    policy=st.builds(Policy, barred_namespace=st.sampled_from([None, "shop", "other"])),
    other_owner=maybe_text,
    wanted=st.booleans(),
    hindered_for=seconds,
    preparation=seconds,
    source=st.none() | st.just({"a.py": ""}),
    source_problem=maybe_text,
)
