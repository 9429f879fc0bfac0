"""Work waits for no sweep, and for nobody else's namespace."""

from __future__ import annotations

from typing import Any

import pytest

from tests.cluster.faults.api_proxy import Answer, ApiProxy, Requests
from tests.harness.eventually import eventually

from ..scene import Scene

SLOW_DELETE = (
    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN OLD; END $$",
    "CREATE TRIGGER slow BEFORE DELETE ON perdure.steps FOR EACH ROW EXECUTE FUNCTION slow()",
)
DELETING = (
    "SELECT count(*) > 0 FROM pg_stat_activity"
    " WHERE state = 'active' AND query LIKE '%DELETE FROM perdure.steps%' AND pid <> pg_backend_pid()"
)


def run_one(scene: Scene, name: str = "one") -> None:
    scene.apply(name)
    assert scene.play_to_the_end(scene.until_pod(of=name)) == 0
    scene.until_phase("Succeeded", name)


@pytest.mark.slow
def test_a_sweep_that_takes_minutes_delays_nobody(start_operator: Any, scene: Scene, database: Any) -> None:
    before = start_operator(retention_days="1", resync_seconds="1")
    run_one(scene, "old")
    scene.delete("old")
    eventually(lambda: database.query("SELECT gone IS NOT NULL FROM perdure.runs") == [(True,)], deadline=20)
    before.stop()
    database.query("UPDATE perdure.runs SET gone = now() - interval '1 week', finished = now() - interval '1 week'")
    for statement in SLOW_DELETE:
        database.query(statement)
    start_operator(retention_days="1", resync_seconds="1")
    eventually(lambda: database.query(DELETING) == [(True,)], deadline=20)
    run_one(scene, "new")
    assert database.query("SELECT count(*) FROM perdure.steps") == [(2,)], "the sweep is still at it"


@pytest.mark.slow
def test_a_namespace_that_cannot_be_read_leaves_the_others_alone(
    api_server: Any, start_operator: Any, scene: Scene, namespace: str, database: Any, children: Any, tmp_path: Any
) -> None:
    lost = f"{namespace}-lost"
    api_server.api.create("/api/v1/namespaces", {"metadata": {"name": lost}})
    theirs = Scene(api_server.api, lost, children, database)
    with ApiProxy(api_server.kubeconfig) as proxy:
        kubeconfig = str(proxy.kubeconfig(tmp_path / "kubeconfig"))
        options = {"kubeconfig": kubeconfig, "namespaces": f"{lost},{namespace}", "resync_seconds": "1"}
        with proxy.fault(Answer(403), Requests(namespace=lost)):
            operator = start_operator(**options)
            run_one(scene)
            assert eventually(lambda: operator.get("/readyz")[1].startswith("ok"), deadline=20)
            status, said = operator.get("/readyz")
            assert (status, f"warning: namespace {lost} cannot be read" in said) == (200, True)
            assert operator.metric("namespace_unreadable") == 1
        # It comes back, goes again while it is watched, and the others notice neither.
        run_one(theirs)
        eventually(lambda: operator.metric("namespace_unreadable") == 0, deadline=20)
        with proxy.fault(Answer(403), Requests(namespace=lost)):
            proxy.cut_all()
            run_one(scene, "two")
            eventually(lambda: operator.metric("namespace_unreadable") == 1, deadline=20)
        run_one(theirs, "two")
    assert database.query("SELECT count(*) FROM perdure.runs WHERE cancel OR gone IS NOT NULL") == [(0,)]
