"""What the chart tells operator and migration about TLS is what a Postgres with TLS wants, and no other server does."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.cluster.built.certificates import Authority
from tests.cluster.helm import Helm
from tests.harness.eventually import eventually
from tests.harness.installations import hand_over, run_as
from tests.harness.postgres import Servers
from tests.harness.workspace import Workspace

VALUES = {
    "database": {
        "existingSecret": "store",
        "tls": {"mode": "verify-full", "ca": {"configMap": "ca"}, "clientSecret": "client"},
    }
}
_MOUNTED = "/etc/perdure/database"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def server(servers: Servers, workspace: Workspace, authority: Authority) -> Iterator[int]:
    """The port of a Postgres whose owner logs in by certificate and by nothing else; the embedded one has no TLS."""
    made = servers.oldest()
    made.create_role("perdure", options="LOGIN CREATEROLE")
    made.create_database("perdure", owner="perdure")
    made.stop()
    files = dict(zip(("ssl_cert_file", "ssl_key_file"), authority.server("postgres", ["127.0.0.1"]), strict=True))
    files["ssl_ca_file"] = authority.certificate
    for name, file in files.items():
        shutil.copy(file, made.data / name)
        (made.data / name).chmod(0o600)
        hand_over(made.data / name)
    (made.data / "pg_hba.conf").write_text("hostssl all perdure all cert\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    settings = {"listen_addresses": "127.0.0.1", "port": port, "ssl": "on", **{name: name for name in files}}
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(made.installation.programs / "postgres"), "-D", str(made.data), "-k", str(made.folder), *options]
    with subprocess.Popen(command, env=workspace.environment(), cwd="/", **run_as()) as process:
        try:
            eventually(lambda: listens(port), deadline=30)
            yield port
        finally:
            process.terminate()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def migrate(helm: Helm, mounted: Path, port: int, query: str = "") -> subprocess.CompletedProcess[str]:
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
    env |= {"PATH": os.environ["PATH"], "PERDURE_DATABASE_URL": f"postgresql://perdure@127.0.0.1:{port}/perdure{query}"}
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


def test_the_right_server_is_migrated(helm: Helm, server: int, authority: Authority, tmp_path: Path):
    mounted = mount(tmp_path / "mounted", authority.certificate, authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("migrated from version 0 to ")


def test_a_server_of_another_authority_is_not_spoken_to(helm: Helm, server: int, authority: Authority, tmp_path: Path):
    another = Authority(tmp_path / "another")
    mounted = mount(tmp_path / "mounted", another.certificate, authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server)
    assert done.returncode != 0
    assert "certificate verify failed" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_the_url_says_counts_before(helm: Helm, server: int, authority: Authority, tmp_path: Path):
    mounted = mount(tmp_path / "mounted", authority.certificate, authority.client("owner", "perdure"))
    done = migrate(helm, mounted, server, "?sslmode=disable")
    assert done.returncode != 0
    assert "no encryption" in done.stderr
