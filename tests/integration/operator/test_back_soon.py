"""Once a store that was away answers again, nobody waits out the delay that its failures had grown to."""

from __future__ import annotations

import time

from tests.harness.databases import Databases
from tests.harness.eventually import eventually

from .operators import Operator
from .scene import Scene

FAILURES = 8
"""Of each key while the store is away; then its delay has grown to some 20 s."""

BACK = 5.0
"""Seconds from the first answer to the last Workflow's pod."""

RUNS = [f"run-{number}" for number in range(12)]


def test_all_go_on_as_soon_as_postgres_answers_again(scene, children, api_server, namespace, own_server):
    from perdure.store.migrate import migrate

    database = Databases(own_server, migrate).new()
    scene = Scene(api_server.api, namespace, children, database)
    operator = Operator(children, api_server.kubeconfig, database.url, namespace, {})
    operator.until_leading()
    own_server.stop("immediate")
    for name in RUNS:
        scene.apply(name)
    eventually(lambda: operator.metric("queue_retries_total") >= FAILURES * len(RUNS), deadline=60)
    assert scene.pods() == []
    own_server.start()
    answers = time.monotonic()

    def all_there() -> bool:
        return len(scene.pods()) == len(RUNS)

    try:
        eventually(all_there, deadline=60, every=0.05)
    finally:
        took = time.monotonic() - answers
        print(f"{took:.2f} s from the store's first answer to the last of {len(RUNS)} pods")
        print(operator.child.errors[-10_000:])
    assert took < BACK
    operator.check()
