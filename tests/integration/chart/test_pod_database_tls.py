"""With variables and files of the pod that chart and operator make, a process reaches its Postgres, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from perdure.names import Claim
from perdure.process.exit_codes import ExitCode
from perdure.store.schema.migrate import migrate
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import build_pod
from perdure_operator.controller.controller import pod_settings
from perdure_operator.decide.actions import CreatePod
from perdure_operator.settings import Settings
from tests.cluster.built.certificates import Authority
from tests.cluster.helm import Helm
from tests.integration.store.rows import Attempt, Session
from tests.unit.operator.api.manifests import with_container, workflow

from .tls_server import POD_PASSWORD, TlsServer

BY_PASSWORD = {"mode": "verify-full", "ca": {"configMap": "authority", "key": "store.pem"}}
BY_CERTIFICATE = {"mode": "verify-full", "ca": {"secret": "authority"}, "clientSecret": "login"}
CODE = "from perdure import workflow\n\n@workflow\ndef main() -> int:\n    return 17\n"

Objects = Mapping[str, Mapping[str, Path]]


@pytest.fixture
def store(server: TlsServer) -> Iterator[Session]:
    """The migrated database of the server."""
    migrate(server.url_of_owner(), pod_role="pods")
    with psycopg.connect(server.url_of_owner(), autocommit=True) as connection:
        yield Session(connection)


@pytest.fixture
def attempt(store: Session) -> Attempt:
    """A claimed run."""
    source = json.dumps({"files": {"code_of_run.py": CODE}})
    claimed = store.claim(store.insert(entrypoint="code_of_run:main", source=source))
    assert claimed is not None
    return claimed


def pod_of(helm: Helm, attempt: Attempt, tls: dict[str, Any], template: dict[str, Any] | None = None) -> dict[str, Any]:
    """The pod that an operator makes which is told what the chart tells it."""
    values = {"database": {"existingSecret": "store"}, "workflows": {"databaseTls": tls}}
    (deployment,) = [one for one in helm.objects(values) if one["kind"] == "Deployment"]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value", "postgresql://from/secret") for one in container["env"]}
    body = workflow({"podTemplate": template or {}}, metadata={"uid": str(attempt.run)})
    return build_pod(parse_workflow(body), CreatePod(1, Claim(attempt.claim)), pod_settings(Settings.parse([], told)))


def run(pod: dict[str, Any], root: Path, objects: Objects, url: str) -> subprocess.CompletedProcess[str]:
    """Run the container as a kubelet does: with its variables, and with the objects laid out as its files."""
    (container,) = pod["spec"]["containers"]
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    for mount in container["volumeMounts"]:
        of = volumes[mount["name"]]
        source = of.get("secret", of.get("configMap", {}))
        for item in source.get("items", []):
            file = root / mount["mountPath"].lstrip("/") / item["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(objects[source.get("secretName") or source["name"]][item["key"]].read_bytes())
            # As they are root's there; of whom is not root, libpq takes a key that is that one's alone.
            file.chmod(source.get("defaultMode", 0o644) if os.geteuid() == 0 else 0o400)
    variables = {one["name"]: one.get("value", "of the kubelet") for one in container["env"]}
    env = {name: value.replace("/etc/perdure", f"{root}/etc/perdure") for name, value in variables.items()}
    # A store that cannot be reached is waited for, elsewhere longer than here.
    env |= {"PATH": os.environ["PATH"], "PERDURE_DATABASE_URL": url, "PERDURE_PATIENCE_SECONDS": "1"}
    command = [sys.executable, "-P", "-m", "perdure.cli", *container["command"][1:]]
    return subprocess.run(command, env=env, cwd=root.parent, capture_output=True, text=True, timeout=60, check=False)


def authority_of(server: TlsServer) -> dict[str, Mapping[str, Path]]:
    return {"authority": {"store.pem": server.authority.certificate, "ca.crt": server.authority.certificate}}


def test_it_reaches_the_right_server(helm: Helm, server: TlsServer, store: Session, attempt: Attempt, tmp_path: Path):
    pod = pod_of(helm, attempt, BY_PASSWORD)
    done = run(pod, tmp_path / "root", authority_of(server), server.url("pods", POD_PASSWORD))
    assert done.returncode == ExitCode.SUCCEEDED, done.stderr
    assert store.run(attempt.run)["state"] == "succeeded"


def test_it_logs_in_by_certificate(helm: Helm, server: TlsServer, store: Session, attempt: Attempt, tmp_path: Path):
    certificate, key = server.authority.client("pods", "by_certificate")
    objects = {**authority_of(server), "login": {"tls.crt": certificate, "tls.key": key}}
    done = run(pod_of(helm, attempt, BY_CERTIFICATE), tmp_path / "root", objects, server.url("by_certificate"))
    assert done.returncode == ExitCode.SUCCEEDED, done.stderr
    assert store.run(attempt.run)["state"] == "succeeded"


def test_a_server_of_another_authority_gets_neither_password_nor_claim(
    helm: Helm, server: TlsServer, store: Session, attempt: Attempt, tmp_path: Path
):
    another = {"authority": {"store.pem": Authority(tmp_path / "another").certificate}}
    pod = pod_of(helm, attempt, BY_PASSWORD)
    done = run(pod, tmp_path / "root", another, server.url("pods", POD_PASSWORD))
    assert done.returncode == ExitCode.NOT_STARTED, done.stderr
    assert "certificate verify failed" in done.stderr
    assert store.run(attempt.run)["begun"] is False


def test_a_server_under_another_name_is_another(
    helm: Helm, server: TlsServer, store: Session, attempt: Attempt, tmp_path: Path
):
    pod = pod_of(helm, attempt, BY_PASSWORD)
    url = server.url("pods", POD_PASSWORD, host="localhost")
    done = run(pod, tmp_path / "root", authority_of(server), url)
    assert done.returncode == ExitCode.NOT_STARTED, done.stderr
    assert 'does not match host name "localhost"' in done.stderr
    assert store.run(attempt.run)["begun"] is False


def test_what_a_workflow_sets_for_databases_of_its_own_weakens_nothing(
    helm: Helm, server: TlsServer, attempt: Attempt, tmp_path: Path
):
    weak = with_container(env=[{"name": "PGSSLMODE", "value": "disable"}, {"name": "PGSSLROOTCERT", "value": "none"}])
    another = {"authority": {"store.pem": Authority(tmp_path / "another").certificate}}
    done = run(pod_of(helm, attempt, BY_PASSWORD, weak), tmp_path / "root", another, server.url("pods", POD_PASSWORD))
    assert done.returncode == ExitCode.NOT_STARTED, done.stderr
    assert "certificate verify failed" in done.stderr


def test_what_the_url_says_counts_before(helm: Helm, server: TlsServer, attempt: Attempt, tmp_path: Path):
    url = server.url("pods", POD_PASSWORD, query="?sslmode=disable")
    done = run(pod_of(helm, attempt, BY_PASSWORD), tmp_path / "root", authority_of(server), url)
    assert done.returncode == ExitCode.NOT_STARTED, done.stderr
    assert "no encryption" in done.stderr
