"""The containers that write Secrets, with the rights that the chart gives them and no others, on a real API server."""

from __future__ import annotations

import base64
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.api import Api, ApiException
from tests.cluster.helm import CHART, Helm
from tests.cluster.rights import give_rights
from tests.integration.operator.api_server import ApiServer

from .rights import Chores, new_namespace

SECRET = "perdure-pod-database"
LOGINS = "perdure-logins"


@pytest.fixture
def own(api_server: ApiServer) -> str:
    """The release's namespace."""
    return new_namespace(api_server.api)


@pytest.fixture
def chore(api_server: ApiServer, tmp_path: Path, own: str) -> Chores:
    """Runs a chore as an account of the release; what it printed."""
    return Chores(api_server, own, tmp_path)


def secret(api: Api, where: str, name: str) -> dict[str, str]:
    data = api.get(f"/api/v1/namespaces/{where}/secrets/{name}")["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


MAKE = {
    "OWNER_SECRET": "perdure-database",
    "POD_SECRET": SECRET,
    "POD_KEY": "url",
    "LOGINS_SECRET": LOGINS,
    "HOST": "perdure-postgres.here.svc",
}


def test_passwords_are_made_once(helm: Helm, api_server: ApiServer, own: str, chore):
    api, names = api_server.api, ("perdure-database", SECRET, LOGINS)
    give_rights(helm, api, own, {})
    first = chore("passwords", "perdure-postgres", **MAKE)
    assert first.returncode == 0, first.stderr
    assert first.stdout == "".join(f"Secret {name} is new\n" for name in names)
    made = {name: secret(api, own, name) for name in names}
    assert len(made[LOGINS]["seed"]) == 43
    for login, one in (("perdure", made["perdure-database"]), ("perdure_shared", made[SECRET])):
        assert len(one["password"]) == 32
        assert one["url"] == f"postgresql://{login}:{one['password']}@perdure-postgres.here.svc:5432/perdure"
    assert made["perdure-database"]["password"] != made[SECRET]["password"]
    again = chore("passwords", "perdure-postgres", **MAKE)
    assert again.returncode == 0, again.stderr
    assert again.stdout == "".join(f"Secret {name} is there\n" for name in names)
    assert {name: secret(api, own, name) for name in made} == made


def test_the_key_of_the_pods_url_can_be_another(helm: Helm, api_server: ApiServer, own: str, chore):
    api = api_server.api
    give_rights(helm, api, own, {})
    done = chore("passwords", "perdure-postgres", **{**MAKE, "POD_KEY": "uri"})
    assert done.returncode == 0, done.stderr
    made = secret(api, own, SECRET)
    assert made == {
        "uri": f"postgresql://perdure_shared:{made['password']}@perdure-postgres.here.svc:5432/perdure",
        "password": made["password"],
    }
    assert secret(api, own, "perdure-database").keys() == {"url", "password"}


def test_passwords_that_a_person_chose_stay(helm: Helm, api_server: ApiServer, own: str, chore):
    api = api_server.api
    give_rights(helm, api, own, {})
    chosen = {"url": "postgresql://perdure:chosen@elsewhere/perdure", "password": "chosen"}
    api.create(f"/api/v1/namespaces/{own}/secrets", {"metadata": {"name": "perdure-database"}, "stringData": chosen})
    done = chore("passwords", "perdure-postgres", **MAKE)
    assert done.stdout == f"Secret perdure-database is there\nSecret {SECRET} is new\nSecret {LOGINS} is new\n", (
        done.stderr
    )
    assert secret(api, own, "perdure-database") == chosen


def test_the_pods_secret_is_kept_in_other_namespaces(helm: Helm, api_server: ApiServer, own: str, chore):
    api = api_server.api
    others = [new_namespace(api), new_namespace(api)]
    give_rights(helm, api, own, {"workflows": {"databaseSecret": {"namespaces": [own, *others]}}})
    told = {"SECRET": SECRET, "KEY": "uri", "NAMESPACES": ",".join([own, *others])}
    for url in ("postgresql://one", "postgresql://two"):
        done = chore("share", "perdure-operator", **told, DATABASE_URL=url)
        assert done.returncode == 0, done.stderr
        assert [secret(api, other, SECRET) for other in others] == [{"uri": url}] * 2
    with pytest.raises(ApiException, match="404"):
        secret(api, own, SECRET)


def test_no_other_secret_can_be_made(helm: Helm, api_server: ApiServer, own: str, chore):
    give_rights(helm, api_server.api, own, {})
    done = chore("passwords", "perdure-postgres", **{**MAKE, "POD_SECRET": "another"})
    assert done.returncode == 1
    assert 'secrets "another" is forbidden' in done.stderr
    assert "Traceback" not in done.stderr
    done = chore("share", "perdure-operator", SECRET=SECRET, KEY="url", NAMESPACES="kube-system", DATABASE_URL="x")
    assert "is forbidden" in done.stdout
    with pytest.raises(ApiException, match="404"):
        secret(api_server.api, "kube-system", SECRET)


def test_a_namespace_that_is_gone_leaves_the_others_with_their_secret(
    helm: Helm, api_server: ApiServer, own: str, chore
):
    there = new_namespace(api_server.api)
    values = {"workflows": {"databaseSecret": {"namespaces": [there]}}}
    give_rights(helm, api_server.api, own, values)
    told = {"SECRET": SECRET, "KEY": "uri", "NAMESPACES": f"gone,{there}"}
    done = chore("share", "perdure-operator", **told, DATABASE_URL="postgresql://x")
    assert done.returncode == 0, done.stderr
    assert f"Secret {SECRET} is NOT in namespace gone: " in done.stdout
    assert secret(api_server.api, there, SECRET) == {"uri": "postgresql://x"}


def test_an_api_server_that_does_not_answer_is_told_in_a_line(helm: Helm, api_server: ApiServer, own: str, chore):
    give_rights(helm, api_server.api, own, {})
    done = chore("passwords", "perdure-postgres", **{**MAKE, "KUBERNETES_SERVICE_PORT": "1"})
    assert done.returncode == 1
    assert done.stderr.startswith("passwords: <urlopen error")
    assert done.stderr.count("\n") == 1


def test_helm_test_without_a_namespace_for_workflows_says_what_to_set(
    chore, helm: Helm, api_server: ApiServer, own: str
):
    give_rights(helm, api_server.api, own, {})
    done = chore("check", "perdure-operator", WORKFLOW="perdure-test", NAMESPACE="")
    assert done.returncode == 1
    assert "workflows.databaseSecret.namespaces" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_operator_waits_for_a_postgres_that_is_not_there_yet():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = str(CHART / "files" / "chores.py")
    env = {"HOST": "127.0.0.1", "PORT": str(port)}
    with subprocess.Popen([sys.executable, script, "wait"], env=env) as waiting:
        with pytest.raises(subprocess.TimeoutExpired):
            waiting.wait(2)
        with socket.create_server(("127.0.0.1", port)):
            assert waiting.wait(10) == 0
