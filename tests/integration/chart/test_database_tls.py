"""What the chart tells operator and migration about TLS is what a Postgres with TLS wants, and no other server does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.built.certificates import Authority
from tests.cluster.helm import Helm

from .tls_server import TlsServer

VALUES = {
    "database": {
        "existingSecret": "store",
        "tls": {"mode": "verify-full", "ca": {"configMap": "ca"}, "clientSecret": "client"},
    }
}
_MOUNTED = "/etc/perdure/database"


def migrate(helm: Helm, mounted: Path, server: TlsServer, query: str = "") -> subprocess.CompletedProcess[str]:
    """Run the chart's init container `migrate` as it would run in its pod, with `mounted` for its volumes."""
    (deployment,) = [one for one in helm.objects(VALUES) if one["kind"] == "Deployment"]
    spec = deployment["spec"]["template"]["spec"]
    (container,) = [one for one in spec["initContainers"] if one["name"] == "migrate"]
    (operator,) = spec["containers"]
    told = variables(container)
    assert told == {name: value for name, value in variables(operator).items() if name in told}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {
        "/tmp",
        f"{_MOUNTED}/ca",
        f"{_MOUNTED}/client",
    }
    env = {name: value.replace(_MOUNTED, str(mounted)) for name, value in told.items()}
    env |= {"PATH": os.environ["PATH"], "PERDURE_DATABASE_URL": server.url("perdure", query=query)}
    command = [sys.executable, "-m", "perdure.cli", *container["command"][1:]]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def variables(container: Mapping[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"] if one["name"].startswith("PG")}


def mount(folder: Path, authority: Path, client: tuple[Path, Path]) -> Path:
    """The files of the Secrets as a kubelet lays them into volumes."""
    for name, file in {"ca/ca.crt": authority, "client/tls.crt": client[0], "client/tls.key": client[1]}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, folder / name)
        (folder / name).chmod(0o400)
    return folder


def test_the_right_server_is_migrated(helm: Helm, server: TlsServer, tmp_path: Path):
    mounted = mount(tmp_path / "mounted", server.authority.certificate, server.authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("migrated from version 0 to ")


def test_a_server_of_another_authority_is_not_spoken_to(helm: Helm, server: TlsServer, tmp_path: Path):
    another = Authority(tmp_path / "another")
    mounted = mount(tmp_path / "mounted", another.certificate, server.authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server)
    assert done.returncode != 0
    assert "certificate verify failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_url_says_counts_before(helm: Helm, server: TlsServer, tmp_path: Path):
    mounted = mount(tmp_path / "mounted", server.authority.certificate, server.authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server, "?sslmode=disable")
    assert done.returncode != 0
    assert "no encryption" in done.stderr
