"""API server and Postgres go away and come back: nothing is lost, nothing is started because of it, nobody restarts."""

from __future__ import annotations

import time

from tests.harness.databases import Databases
from tests.harness.eventually import eventually

from .operators import Operator
from .scene import Scene
from .test_a_run import SLOW, times


def test_an_api_server_that_is_away_is_waited_for(own_api_server, database, children, tmp_path):
    tmp_path.chmod(0o777)
    own_api_server.api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    scene = Scene(own_api_server.api, "shop", children, database)
    operator = Operator(children, own_api_server.kubeconfig, database.url, "shop", {})
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)

    own_api_server.kill()
    eventually(lambda: operator.get("/readyz")[0] == 503, deadline=30)
    assert "Cannot connect to host" in operator.get("/readyz")[1]
    assert operator.get("/livez") == (200, "ok\n")
    (tmp_path / "go").touch()
    assert process.wait(10) == 0  # the run goes on all the same
    eventually(lambda: operator.metric("leading") == 0, deadline=30)
    own_api_server.start()
    own_api_server.until_ready()

    scene.tell_end(pod, 0)
    assert scene.until_phase("Succeeded", deadline=60)["attempts"] == 1
    assert scene.attempts(uid) == [(1, "completed")]
    assert operator.get("/readyz")[0] == 200
    assert operator.child.running()
    operator.check()
    print(operator.child.errors[-10_000:])


def test_a_postgres_that_is_away_is_waited_for(scene, children, api_server, namespace, own_server, tmp_path):
    from perdure.store.schema.migrate import migrate

    tmp_path.chmod(0o777)
    database = Databases(own_server, migrate).new()
    scene = Scene(api_server.api, namespace, children, database)
    operator = Operator(children, api_server.kubeconfig, database.url, namespace, {})
    uid = scene.apply(code=SLOW, input={"folder": str(tmp_path)})
    pod = scene.until_pod()
    process = scene.play(pod)
    eventually(lambda: times(tmp_path, "second") == 1, deadline=20)

    own_server.stop("immediate")
    eventually(lambda: "the store" in operator.get("/readyz")[1], deadline=30)
    assert operator.get("/livez") == (200, "ok\n")
    scene.apply("two")
    time.sleep(5)  # more than two leases: nobody is taken for dead
    assert scene.pods() == [scene.until_pod()]
    own_server.start()
    (tmp_path / "go").touch()
    assert process.wait(30) == 0
    scene.tell_end(pod, 0)
    scene.until_phase("Succeeded", deadline=40)
    assert scene.attempts(uid) == [(1, "completed")]
    assert scene.play_to_the_end(scene.until_pod(of="two", deadline=40)) == 0
    scene.until_phase("Succeeded", "two")
    assert operator.child.running()
    operator.check()
    print(operator.child.errors[-10_000:])
