"""What one may try from inside a pod: with the cluster, the network, the node."""

from __future__ import annotations

import ctypes
import os
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from perdure import step

from .attempts import Told, outcome
from .store import own_secrets

_NEW_USER_NAMESPACE = 0x10000000
_BLOCK_DEVICE = 0o060600


@step
def kubernetes(namespace: str, nodes: list[str]) -> Told:
    """The API server, and kubelets: with what account is there, which is none."""
    api = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    pod, node = os.environ["PERDURE_POD_NAME"], os.environ["PERDURE_NODE_NAME"]
    workflows = f"/apis/perdure.io/v1alpha1/namespaces/{namespace}/workflows"
    told = {"a token": outcome(Path("/var/run/secrets/kubernetes.io/serviceaccount/token").read_text)}
    for path in (
        "/api",
        "/apis",
        "/metrics",
        "/logs/",
        "/api/v1/secrets",
        f"/api/v1/namespaces/{namespace}/secrets",
        f"/api/v1/namespaces/{namespace}/secrets/perdure-database",
        f"/api/v1/namespaces/{namespace}/pods",
        f"/api/v1/namespaces/{namespace}/pods/{pod}",
        f"/api/v1/nodes/{node}/proxy/pods",
        workflows,
    ):
        told[f"GET {path}"] = outcome(asked, api + path)
    told["create a Workflow"] = outcome(asked, api + workflows, "POST")
    be = {"Impersonate-User": f"system:serviceaccount:{namespace}:perdure-operator"}
    told["be the operator"] = outcome(asked, api + workflows, headers=be)
    for number, address in enumerate(nodes, 1):
        for path in ("/pods", "/metrics", "/logs/", "/exec/x/y/z"):
            told[f"{path} of kubelet {number}"] = outcome(asked, f"https://{address}:10250{path}")
    return {name.replace(namespace, "NS").replace(pod, "POD").replace(node, "NODE"): how for name, how in told.items()}


@step
def network(operator: str) -> Told:
    """The address at which clouds tell nodes their credentials, and the port at which the kubelet asks the operator."""
    served = f"http://{operator}:8080"
    told = {"the node's metadata": outcome(asked, "http://169.254.169.254/latest/meta-data/", seconds=2)}
    for path in ("/livez", "/readyz"):
        told[f"GET {path}"] = outcome(asked, served + path)
    for path in ("/", "/debug/pprof/", "/config", "/../etc/passwd"):
        told[f"GET {path}"] = outcome(asked, served + quote(path))
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/livez", "/readyz"):
            told[f"{method} {path}"] = outcome(asked, served + path, method)
    return told


@step
def metrics(operator: str) -> Told:
    """What the operator tells Prometheus."""
    closed = f"https://{operator}:8443/metrics"
    return {
        "by HTTP": outcome(asked, f"http://{operator}:8080/metrics"),
        "without a token": outcome(asked, closed),
        "with a guess": outcome(asked, closed, headers={"Authorization": "Bearer guess"}),
        "with a password": outcome(asked, closed, headers={"Authorization": "Basic YWRtaW46YWRtaW4="}),
        "beside it": outcome(asked, f"https://{operator}:8443/readyz"),
    }


@step
def host() -> Told:
    """The node beneath: its processes, devices, files, and rights of its administrator."""
    processes = [(one / "cmdline").read_text() for one in Path("/proc").iterdir() if one.name.isdigit()]
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "processes of others": str([one for one in processes if "perdure" not in one]),
        "sockets": str([str(found) for at in ("/run", "/var/run") for found in Path(at).rglob("*.sock")]),
        "user": f"{os.getuid()}:{os.getgid()}",
        **{name: status[name].strip() for name in ("CapEff", "CapBnd", "NoNewPrivs", "Seccomp")},
        "become root": outcome(os.setuid, 0),
        "a user namespace": outcome(_call, "unshare", _NEW_USER_NAMESPACE),
        "mount": outcome(_call, "mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "a device": outcome(os.mknod, "/tmp/mine", _BLOCK_DEVICE, os.makedev(8, 0)),
        "write to the image": outcome(Path("/opt/mine").write_text, ""),
        "write to the kernel": outcome(Path("/proc/sys/kernel/core_pattern").write_text, "|/mine"),
        "the image's passwords": outcome(Path("/etc/shadow").read_text),
        "raw packets": outcome(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
    }


@step
def programs() -> Told:
    """What a program finds of our secrets that a step starts: in its environment, and in /proc."""
    secrets = own_secrets()
    environment = subprocess.run(["env"], capture_output=True, text=True, check=True).stdout
    told = {"inherited": str([one for one in secrets if one in environment])}
    look = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(4096))"
    for pid in (os.getpid(), os.getppid()):
        whose = "the child" if pid == os.getpid() else "the supervisor"
        for name in ("environ", "cmdline", "mem"):
            done = subprocess.run(
                [sys.executable, "-c", look, f"/proc/{pid}/{name}"], capture_output=True, text=True, check=False
            )
            refused = "PermissionError" in done.stderr
            found = [one for one in secrets if one in done.stdout]
            told[f"{name} of {whose}"] = "refused" if refused else str(found)
    return told


def asked(
    url: str,
    method: str = "GET",
    *,
    seconds: float = 5,
    most: int = 2000,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The begin of an answer."""
    body = None if method == "GET" else b"{}"
    request = urllib.request.Request(url, data=body, method=method, headers=dict(headers))
    context = ssl._create_unverified_context() if url.startswith("https") else None
    with urllib.request.urlopen(request, timeout=seconds, context=context) as answer:
        return str(answer.read(most).decode(errors="replace"))


def _call(name: str, *arguments: object) -> str:
    """A function of the C library, which is 0 for done."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), name)
    return name
