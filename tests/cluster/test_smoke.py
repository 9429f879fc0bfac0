"""The cluster is a real one: what its users take for granted works on it."""

from __future__ import annotations

import base64
import json
import statistics
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from secrets import token_hex

import pytest
from kubernetes.stream import portforward

from tests.harness.eventually import eventually

from . import pods
from .api import ApiException, Json, core
from .cluster import Capability, Cluster
from .faults import nodes
from .measure import start_times

pytestmark = pytest.mark.timeout(180)

PORT = 8080
SERVER = f"""
import http.server, os
class Named(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(os.environ["HOSTNAME"].encode())
http.server.ThreadingHTTPServer(("", {PORT}), Named).serve_forever()
"""
FETCH = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1], timeout=5).read().decode(), end='')"
RESOLVE = """
import json, socket, sys, time
begun = time.monotonic()
try:
    found = sorted({at[4][0] for at in socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)})
except socket.gaierror as error:
    found = error.errno
print(json.dumps([found, time.monotonic() - begun]))
"""
NO_SUCH_NAME = -2  # EAI_NONAME; a server that refuses or does not answer gives another


@dataclass(frozen=True, slots=True)
class Pair:
    """A web server on each of two nodes, which answers with its name; each has a Service of its name."""

    cluster: Cluster
    namespace: str
    addresses: dict[str, str]
    """Of each pod by its name."""

    @property
    def names(self) -> list[str]:
        return list(self.addresses)

    def fetch(self, name: str, host: str, port: int = PORT) -> str:
        """What a pod gets there by HTTP."""
        return pods.run_in(self.cluster, self.namespace, name, ["python3", "-c", FETCH, f"http://{host}:{port}/"])

    def resolve(self, name: str, host: str) -> tuple[list[str] | int, float]:
        """The addresses that a pod finds for a host, or the error, and after how many seconds."""
        found, seconds = json.loads(pods.run_in(self.cluster, self.namespace, name, ["python3", "-c", RESOLVE, host]))
        return found, seconds

    def service(self, name: str) -> Json:
        return self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/services/{name}")["spec"]


@pytest.fixture(scope="module")
def pair(cluster: Cluster) -> Iterator[Pair]:
    namespace = f"test-{token_hex(4)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    names = {f"on-{node}": node for node in cluster.nodes[:2]}
    services = f"/api/v1/namespaces/{namespace}/services"
    for name, node in names.items():
        pods.create(cluster, namespace, pods.python(cluster, name, SERVER, nodeName=node))
        cluster.api.create(services, service(name, type="NodePort", selector={"app": name}))
    both = {"app.kubernetes.io/part-of": "pair"}
    cluster.api.create(services, service("both", clusterIP="None", selector=both))
    for name in names:
        pods.until_running(cluster, namespace, name)
        cluster.api.patch(f"/api/v1/namespaces/{namespace}/pods/{name}", {"metadata": {"labels": both}})
    addresses = {name: pods.get(cluster, namespace, name)["status"]["podIP"] for name in names}
    yield Pair(cluster, namespace, addresses)
    cluster.api.delete(f"/api/v1/namespaces/{namespace}")


def service(name: str, **spec: object) -> Json:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": PORT}], **spec}}


def test_pods_on_both_nodes_reach_each_other(pair):
    for name in pair.names:
        for other, address in pair.addresses.items():
            assert pair.fetch(name, address) == other


def test_pods_reach_services_also_their_own(pair):
    for name in pair.names:
        for other in pair.names:
            address = pair.service(other)["clusterIP"]
            assert eventually(partial(fetched, pair, name, address)) == other


def test_every_node_offers_a_node_port(pair):
    for name in pair.names:
        port = pair.service(name)["ports"][0]["nodePort"]
        for node in pair.cluster.nodes:
            addresses = pair.cluster.api.get(f"/api/v1/nodes/{node}")["status"]["addresses"]
            (address,) = [one["address"] for one in addresses if one["type"] == "InternalIP"]
            assert eventually(partial(fetched, pair, pair.names[0], address, port)) == name


def fetched(pair: Pair, *arguments):
    """As `Pair.fetch`; no connection means "not yet", for nodes hear of a Service in their own time."""
    try:
        return pair.fetch(*arguments)
    except RuntimeError as error:
        raise AssertionError(str(error)) from error


def test_names_of_services_resolve(pair):
    for name, other in (pair.names, pair.names[::-1]):
        for host in (other, f"{other}.{pair.namespace}", f"{other}.{pair.namespace}.svc.cluster.local."):
            assert pair.resolve(name, host)[0] == [pair.service(other)["clusterIP"]]


def test_a_headless_service_resolves_to_its_pods(pair):
    def resolved(name: str) -> bool:
        return pair.resolve(name, "both")[0] == sorted(pair.addresses.values())

    for name in pair.names:
        eventually(partial(resolved, name), 20)


@pytest.mark.parametrize("host", ["nowhere", "nowhere.default", "nowhere.default.svc.cluster.local."])
def test_a_name_that_does_not_exist_is_unknown_at_once(pair, host):
    for name in pair.names:
        found, seconds = pair.resolve(name, host)
        assert found == NO_SUCH_NAME
        assert seconds < 2


def test_a_service_account_may_do_what_its_role_says(cluster, namespace):
    code = """
        import json, ssl, urllib.error, urllib.request
        mounted = "/var/run/secrets/kubernetes.io/serviceaccount/"
        trust = ssl.create_default_context(cafile=mounted + "ca.crt")
        namespace = open(mounted + "namespace").read()
        for kind in ("configmaps", "secrets"):
            url = f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}/{kind}/wanted"
            headers = {"Authorization": "Bearer " + open(mounted + "token").read()}
            try:
                with urllib.request.urlopen(urllib.request.Request(url, headers=headers), context=trust) as answer:
                    print(answer.status, json.load(answer)["data"]["key"])
            except urllib.error.HTTPError as error:
                print(error.code, json.load(error)["message"])
        """
    wanted = {"metadata": {"name": "wanted"}}
    for kind in ("configmaps", "secrets"):
        cluster.api.create(f"/api/v1/namespaces/{namespace}/{kind}", wanted | {"data": {"key": "dmFsdWU="}})
    rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}
    cluster.api.create(f"{rights}/roles", {"metadata": {"name": "reader"}, "rules": [rule]})
    cluster.api.create(
        f"{rights}/rolebindings",
        {
            "metadata": {"name": "reader"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"},
            "subjects": [{"kind": "ServiceAccount", "name": "default"}],
        },
    )
    pods.create(cluster, namespace, pods.python(cluster, "asking", textwrap.dedent(code)))
    pods.until_ended(cluster, namespace, "asking")
    allowed, refused = pods.logs(cluster, namespace, "asking").splitlines()
    assert allowed == "200 dmFsdWU="
    account = f"system:serviceaccount:{namespace}:default"
    assert refused.startswith(f'403 secrets "wanted" is forbidden: User "{account}" cannot get')


def test_logs_are_followed(cluster, namespace):
    code = "import time; print('begin', flush=True); time.sleep(2); print('end')"
    pods.create(cluster, namespace, pods.python(cluster, "talking", code))
    eventually(lambda: "running" in pods.status(pods.get(cluster, namespace, "talking"))["state"])
    with cluster.api.opened(f"/api/v1/namespaces/{namespace}/pods/talking/log", follow="true") as log:
        assert log.read1() == b"begin\n"
        assert log.read() == b"end\n"


def test_logs_before_a_restart_are_kept(cluster, namespace):
    code = """
        import os, time
        again = os.path.exists("/kept/a")
        print("second" if again else "first", flush=True)
        if again:
            time.sleep(1000)
        open("/kept/a", "x")
        exit(1)
        """
    mounts = {"volumeMounts": [{"name": "kept", "mountPath": "/kept"}]}
    volumes = [{"name": "kept", "emptyDir": {}}]
    spec = {"restartPolicy": "OnFailure", "volumes": volumes, "container": mounts}
    pods.create(cluster, namespace, pods.python(cluster, "twice", textwrap.dedent(code), **spec))
    pods.until_running(cluster, namespace, "twice")
    eventually(lambda: pods.logs(cluster, namespace, "twice") == "second\n", 20)
    assert pods.logs(cluster, namespace, "twice", previous="true") == "first\n"


def test_a_command_in_a_pod_reads_prints_and_fails(pair):
    def run(code: str, stdin: str | None = None) -> str:
        return pods.run_in(pair.cluster, pair.namespace, pair.names[1], ["python3", "-c", code], stdin=stdin)

    assert run("print(6 * 7)") == "42\n"
    assert run("import sys; print(sys.stdin.read().upper())", stdin="hello\nthere") == "HELLO\nTHERE\n"
    with pytest.raises(RuntimeError, match=r"ended with 3 in .*: farewell"):
        run("import sys; print('farewell'); sys.exit(3)")


def test_a_port_of_a_pod_is_forwarded(pair):
    api = pair.cluster.another_api()
    forwarded = portforward(
        core(api).connect_get_namespaced_pod_portforward, pair.names[1], pair.namespace, ports=str(PORT)
    )
    try:
        connection = forwarded.socket(PORT)
        connection.settimeout(10)
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
        connection.close()
    finally:
        forwarded.close()
        forwarded.websocket.shutdown()  # which its own close leaves open
        api.close()
    assert answer.endswith(pair.names[1].encode())


def test_a_memory_limit_kills_one_container_and_the_others_live(cluster, namespace):
    pod = pods.python(
        cluster, "greedy", "print(len(bytearray(256 * 2**20)))", container={"resources": {"limits": {"memory": "64Mi"}}}
    )
    (greedy,) = pod["spec"]["containers"]
    pod["spec"]["containers"].append({**greedy, "name": "modest", "command": ["sleep", "infinity"]})
    pods.create(cluster, namespace, pod)
    ended = eventually(
        lambda: pods.status(pods.get(cluster, namespace, "greedy"))["state"].get("terminated"), deadline=30
    )
    assert (ended["reason"], ended["exitCode"]) == ("OOMKilled", 137)
    assert pods.logs(cluster, namespace, "greedy", container="main") == ""
    assert pods.status(pods.get(cluster, namespace, "greedy"), "modest")["state"].get("running")
    assert pods.run_in(cluster, namespace, "greedy", ["echo", "alive"], "modest") == "alive\n"


def test_pod_security_refuses_a_privileged_pod(cluster, namespace):
    enforced = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    cluster.api.patch(f"/api/v1/namespaces/{namespace}", enforced)
    privileged = pods.python(cluster, "privileged", container={"securityContext": {"privileged": True}})
    with pytest.raises(ApiException, match=r'violates PodSecurity \\"restricted:latest\\": privileged') as refused:
        pods.create(cluster, namespace, privileged)
    assert refused.value.status == 403
    pods.create(cluster, namespace, pods.python(cluster, "modest", "print('here')"))
    assert pods.until_ended(cluster, namespace, "modest")["status"]["phase"] == "Succeeded"


CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}
DATA = [{"name": "data", "mountPath": "/data"}]


def test_a_claim_binds_and_keeps_its_data(cluster, namespace):
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    cluster.api.create(claims, CLAIM)
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    for name, code in (("writer", "open('/data/a', 'x').write('kept')"), ("reader", "print(open('/data/a').read())")):
        pod = pods.python(cluster, name, code, container={"volumeMounts": DATA}, volumes=volumes)
        pods.create(cluster, namespace, pod)
        assert pods.until_ended(cluster, namespace, name)["status"]["phase"] == "Succeeded"
    assert pods.logs(cluster, namespace, "reader") == "kept\n"
    assert cluster.api.get(f"{claims}/data")["status"]["phase"] == "Bound"


def test_a_stateful_set_keeps_its_data(cluster, namespace):
    code = "import time; open('/data/a', 'a').write('x'); print(open('/data/a').read()); time.sleep(1000)"
    template = pods.python(cluster, "kept", code, restartPolicy="Always", container={"volumeMounts": DATA})
    spec = {"serviceName": "kept", "volumeClaimTemplates": [CLAIM]}
    cluster.api.create(f"/apis/apps/v1/namespaces/{namespace}/statefulsets", workload(template, **spec))
    eventually(lambda: not pods.gone(cluster, namespace, "kept-0"))
    first = pods.until_running(cluster, namespace, "kept-0")["metadata"]["uid"]
    eventually(lambda: pods.logs(cluster, namespace, "kept-0") == "x\n")
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/kept-0")

    def again():
        found = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector="app=kept")["items"]
        return [pod for pod in found if pod["metadata"]["uid"] != first]

    eventually(again, 30)
    pods.until_running(cluster, namespace, "kept-0")
    eventually(lambda: pods.logs(cluster, namespace, "kept-0") == "xx\n")


def workload(template: Json, **spec: object) -> Json:
    """A Deployment or a StatefulSet of one replica."""
    labels = template["metadata"]["labels"]
    return {
        "metadata": {"name": template["metadata"]["name"]},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def test_released_volumes_are_available_again(cluster, namespace):
    claims = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims"
    volumes = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    cluster.api.create(claims, CLAIM)
    pod = pods.python(cluster, "writer", "open('/data/a', 'x')", container={"volumeMounts": DATA}, volumes=volumes)
    pods.create(cluster, namespace, pod)
    pods.until_ended(cluster, namespace, "writer")
    volume = cluster.api.get(f"{claims}/data")["spec"]["volumeName"]
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/writer")
    cluster.api.delete(f"{claims}/data")

    def free():
        cluster.reclaim_volumes()
        found = cluster.api.find(f"/api/v1/persistentvolumes/{volume}")
        return found is None or found["status"]["phase"] == "Available"  # or it was made for this claim alone

    eventually(free, 30)


def test_config_maps_secrets_and_projections_are_mounted(cluster, namespace):
    collection = f"/api/v1/namespaces/{namespace}"
    cluster.api.create(f"{collection}/configmaps", {"metadata": {"name": "plain"}, "data": {"file": "open"}})
    secret = base64.b64encode(b"closed").decode()
    cluster.api.create(f"{collection}/secrets", {"metadata": {"name": "secret"}, "data": {"file": secret}})
    projected = [
        {"configMap": {"name": "plain", "items": [{"key": "file", "path": "plain"}]}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"serviceAccountToken": {"path": "token", "audience": "tests"}},
    ]
    volumes = [
        {"name": "plain", "configMap": {"name": "plain"}},
        {"name": "secret", "secret": {"secretName": "secret"}},
        {"name": "projected", "projected": {"sources": projected}},
    ]
    code = """
        import json
        paths = ["/plain/file", "/secret/file", "/projected/plain", "/projected/name", "/projected/token"]
        print(json.dumps([open(path).read() for path in paths]))
        """
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    pod = pods.python(cluster, "reader", textwrap.dedent(code), container={"volumeMounts": mounts}, volumes=volumes)
    pods.create(cluster, namespace, pod)
    pods.until_ended(cluster, namespace, "reader")
    *read, token = json.loads(pods.logs(cluster, namespace, "reader"))
    assert read == ["open", "closed", "open", "reader"]
    claims = token.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["aud"] == ["tests"]


def test_a_job_runs_and_its_pods_go_with_it(cluster, namespace):
    jobs = f"/apis/batch/v1/namespaces/{namespace}/jobs"
    template = pods.python(cluster, "work", "print('done')")
    cluster.api.create(jobs, {"metadata": {"name": "work"}, "spec": {"completions": 2, "template": template}})
    eventually(lambda: cluster.api.get(f"{jobs}/work")["status"].get("succeeded") == 2, 30)
    assert len(pods_of(cluster, namespace, "work")) == 2
    cluster.api.delete(f"{jobs}/work", {"propagationPolicy": "Background"})
    eventually(lambda: not pods_of(cluster, namespace, "work"), 20)


def test_a_deployment_replaces_pods_and_takes_them_along(cluster, namespace):
    deployments = f"/apis/apps/v1/namespaces/{namespace}/deployments"
    template = pods.python(cluster, "served", restartPolicy="Always")
    cluster.api.create(deployments, workload(template, replicas=2))
    eventually(lambda: cluster.api.get(f"{deployments}/served")["status"].get("readyReplicas") == 2, 30)
    lost = pods_of(cluster, namespace, "served")[0]
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{lost}")

    def replaced():
        ready = cluster.api.get(f"{deployments}/served")["status"].get("readyReplicas")
        return ready == 2 and lost not in pods_of(cluster, namespace, "served")

    eventually(replaced, 30)
    cluster.api.delete(f"{deployments}/served", {"propagationPolicy": "Background"})
    eventually(lambda: not pods_of(cluster, namespace, "served"), 20)


def pods_of(cluster: Cluster, namespace: str, app: str) -> list[str]:
    found = cluster.api.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app={app}")["items"]
    return [pod["metadata"]["name"] for pod in found]


def test_an_object_goes_with_its_owner(cluster, namespace):
    maps = f"/api/v1/namespaces/{namespace}/configmaps"
    uid = cluster.api.create(maps, {"metadata": {"name": "owner"}})["metadata"]["uid"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
    for name, references in (("owned", [reference]), ("free", [])):
        cluster.api.create(maps, {"metadata": {"name": name, "ownerReferences": references}})
    cluster.api.delete(f"{maps}/owner")

    def names():
        return {one["metadata"]["name"] for one in cluster.api.get(maps)["items"]}

    eventually(lambda: "owned" not in names(), 20)
    assert "free" in names()


@pytest.mark.capability(Capability.PARTITION)
def test_a_partitioned_node_turns_not_ready_and_comes_back(cluster, namespace):
    node = cluster.nodes[1]
    pods.create(cluster, namespace, pods.beating(cluster, "beating", nodeName=node))
    before = pods.status(pods.until_running(cluster, namespace, "beating"))

    def condition():
        shown = cluster.api.get(f"/api/v1/nodes/{node}")["status"]["conditions"]
        return next(one["status"] for one in shown if one["type"] == "Ready")

    begun = time.monotonic()
    with nodes.cut_off(cluster, node):
        eventually(lambda: condition() == "Unknown", 80, every=0.2)
        assert time.monotonic() - begun > 20, "a short partition is nothing that a node is given up for"
    assert condition() == "True"
    after = pods.status(pods.get(cluster, namespace, "beating"))
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    assert pods.longest_silence(cluster, namespace, "beating") < 5


@pytest.mark.capability(Capability.NODE_COMMANDS)
def test_pods_start_soon(cluster, namespace):
    # 0.3 s on an idle machine, and 0.3 s more with a volume, for which a kubelet looks that often; machines are noisy.
    assert statistics.median(start_times(cluster, namespace, 5, automountServiceAccountToken=False)) < 2
