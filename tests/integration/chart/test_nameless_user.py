"""A user that the platform gives to a pod has a number and no name: the chart's Postgres and attempts run as ever."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from perdure.names import Claim
from perdure_operator.api.parse import parse_workflow
from perdure_operator.api.pod import PodSettings, build_pod
from perdure_operator.decide.actions import CreatePod
from tests.cluster.helm import CHART
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.nameless import NUMBER, nameless
from tests.harness.workspace import Workspace
from tests.integration.store.rows import Session
from tests.unit.operator.api.manifests import workflow

pytestmark = pytest.mark.needs("unshare")

CODE = """
import getpass
import os
from pathlib import Path

from perdure import step, workflow

@step
def look() -> list:
    (Path.home() / "kept").write_text("here")
    return [os.getuid(), getpass.getuser(), str(Path.home())]

@workflow
def main() -> list:
    return look()
"""


@pytest.fixture
def users(tmp_path: Path) -> Path:
    """What the chart's container `name` makes."""
    file = tmp_path / "passwd"
    script = str(CHART / "files" / "chores.py")
    subprocess.run([*nameless(), sys.executable, script, "name"], env={"FILE": str(file)}, check=True)
    return file


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def postgres(folder: Path, port: int, users: Path | None) -> subprocess.Popen[str]:
    told = {
        "PATH": os.environ["PATH"],
        "PERDURE_POSTGRES_DATA": str(folder / "data"),
        "PERDURE_POSTGRES_PASSWORD": "owner",
        "PERDURE_POSTGRES_POD_PASSWORD": "pods",
        "PERDURE_POSTGRES_LISTEN": str(port),
    }
    command = [*nameless(users), sys.executable, "-m", "perdure.cli", "postgres"]
    return subprocess.Popen(command, env=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_the_users_are_those_of_the_image_and_that_one(users: Path):
    before = Path("/etc/passwd").read_text().splitlines()
    assert users.read_text().splitlines() == [*before, f"user-{NUMBER}:x:{NUMBER}:0::/tmp:/usr/sbin/nologin"]


def test_a_user_with_a_name_keeps_it(tmp_path: Path):
    file = tmp_path / "passwd"
    subprocess.run([sys.executable, str(CHART / "files" / "chores.py"), "name"], env={"FILE": str(file)}, check=True)
    assert file.read_text() == Path("/etc/passwd").read_text()


def test_with_that_postgres_begins(users: Path, port: int, workspace: Workspace):
    with postgres(workspace.new_folder("postgres"), port, users) as process:

        def answers() -> bool:
            if process.poll() is not None:
                assert process.stdout is not None
                raise RuntimeError(process.stdout.read())
            try:
                psycopg.connect(f"postgresql://perdure_shared:pods@127.0.0.1:{port}/perdure", connect_timeout=5).close()
            except psycopg.OperationalError as error:
                raise AssertionError(str(error)) from error
            return True

        try:
            eventually(answers, deadline=60)
        finally:
            process.terminate()


def test_without_it_postgres_does_not_begin(port: int, workspace: Workspace):
    # Else the container `name` would be there for nothing.
    with postgres(workspace.new_folder("postgres"), port, None) as process:
        said, _ = process.communicate(timeout=60)
    assert f"could not look up effective user ID {NUMBER}" in said


def test_an_attempt_runs_and_its_code_has_a_home_and_a_name(database: Database, workspace: Workspace):
    with database.connect() as connection:
        store = Session(connection)
        source = json.dumps({"files": {"looks.py": CODE}})
        attempt = store.claim(store.insert(entrypoint="looks:main", source=source))
        assert attempt is not None
        settings = PodSettings(database=database.url, runtime_image="perdure", runtime_user=None)
        body = workflow(metadata={"uid": str(attempt.run)})
        pod = build_pod(parse_workflow(body), CreatePod(1, Claim(attempt.claim)), settings)
        assert "runAsUser" not in pod["spec"]["securityContext"]
        home = workspace.new_folder("tmp")
        done = run(pod, home)
        assert done.returncode == 0, done.stderr
        assert store.run(attempt.run)["result"] == [NUMBER, "perdure", str(home)]
    assert (home / "kept").read_text() == "here"


def run(pod: dict[str, Any], tmp: Path) -> subprocess.CompletedProcess[str]:
    """Run the container with its variables and no others, with another folder for its /tmp."""
    (container,) = pod["spec"]["containers"]
    variables = {one["name"]: one.get("value", "of the kubelet").replace("$$", "$") for one in container["env"]}
    env = {name: str(tmp) if value == "/tmp" else value for name, value in variables.items()}
    command = [*nameless(), sys.executable, "-P", "-m", "perdure.cli", *container["command"][1:]]
    env |= {"PATH": os.environ["PATH"], "TMPDIR": str(tmp)}
    return subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, timeout=60, check=False)
