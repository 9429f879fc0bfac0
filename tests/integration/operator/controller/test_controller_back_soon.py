"""Once what was away answers again, nobody waits out the delay that failures had grown to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.databases import Databases
from tests.harness.eventually import eventually

from ..operators import Operator
from ..scene import Scene
from ..test_a_run import SLOW, times

FAILURES = 8
"""Of each key while it is away; then its delay has grown to some 20 s."""

RUNS = [f"run-{number}" for number in range(12)]


@contextmanager
def within(seconds: float, what: str) -> Iterator[None]:
    answers = time.monotonic()
    yield
    took = time.monotonic() - answers
    print(f"{took:.2f} s from the first answer to {what}")
    assert took < seconds


@contextmanager
def shown(operator: Operator) -> Iterator[None]:
    try:
        yield
    finally:
        print(operator.child.errors[-10_000:])
    operator.check()


def test_all_go_on_as_soon_as_postgres_answers_again(scene, children, api_server, namespace, own_server):
    from perdure.store.schema.migrate import migrate

    database = Databases(own_server, migrate).new()
    scene = Scene(api_server.api, namespace, children, database)
    operator = Operator(children, api_server.kubeconfig, database.url, namespace, {})
    with shown(operator):
        # With the store away it learns of Workflows from its watches alone.
        operator.until_watching()
        own_server.stop("immediate")
        for name in RUNS:
            scene.apply(name)
        eventually(lambda: operator.metric("queue_retries_total") >= FAILURES * len(RUNS), deadline=50, every=0.2)
        assert scene.pods() == []
        own_server.start()
        with within(5.0, "the last of the pods"):
            eventually(lambda: len(scene.pods()) == len(RUNS), deadline=60, every=0.05)


def test_an_end_is_told_as_soon_as_the_api_server_answers_again(own_api_server, database, children, tmp_path):
    tmp_path.chmod(0o777)
    own_api_server.api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    scene = Scene(own_api_server.api, "shop", children, database)
    alone = {"leader_election": "false"}  # else it would give up its Lease, and begin anew
    operator = Operator(children, own_api_server.kubeconfig, database.url, "shop", alone)
    with shown(operator):
        scene.apply(code=SLOW, input={"folder": str(tmp_path)})
        process = scene.play(scene.until_pod())
        eventually(lambda: times(tmp_path, "second") == 1, deadline=20)
        own_api_server.kill()
        (tmp_path / "go").touch()
        assert process.wait(20) == 0
        eventually(lambda: operator.metric("queue_retries_total") >= FAILURES, deadline=50, every=0.2)
        own_api_server.start()
        own_api_server.until_ready()
        with within(2.5, "the end in the status"):
            scene.until_phase("Succeeded", deadline=60)
