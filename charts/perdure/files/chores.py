"""What the chart does in a cluster besides running the operator; each command is the whole work of one container.

`passwords` makes the Secrets of the chart's own Postgres where there are none, `name` gives its user a name, `kind`
brings the kind Workflow, `wait` lets the operator wait for Postgres, `share` writes the pods' Secret into other
namespaces, with a login for each where Postgres is the chart's, `check` is `helm test`. Nothing here reads a Secret;
what is written is written by server-side apply.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
import socket
import ssl
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

ACCOUNT = Path(os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount"))
APPLY = "application/apply-patch+yaml"
CRASHING = """
import os
import signal

from perdure import step, step_context, workflow


@step
def go() -> int:
    return step_context().attempt


@step
def crash() -> int:
    attempt = step_context().attempt
    if attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return attempt


@workflow
def survive() -> list[int]:
    return [go(), crash(), go()]
"""
PATIENCE = 180.0  # seconds: a pod may have to be pulled, and a first install to settle
LOOK_AGAIN = 1.0
OWN_LOGIN = "perdure_pods_{}"

Json = dict[str, Any]


class Refused(Exception):
    """What the API server did not do; `status` is that of its answer."""

    def __init__(self, status: int, said: str) -> None:
        super().__init__(f"the API server answers {status}: {said}")
        self.status = status


def call(method: str, path: str, body: Json | None = None, content: str = "application/json") -> Json:
    """One request to the API server of this cluster, as this pod's account.

    Raises:
        Refused: it answered with an error.
        OSError: it did not answer.
    """
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(
        f"https://{f'[{host}]' if ':' in host else host}:{port}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": content},
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    try:
        with urllib.request.urlopen(request, timeout=30, context=context) as answer:  # noqa: S310  # by https
            answered: Json = json.load(answer)
            return answered
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        with suppress(ValueError, KeyError, TypeError):  # it may be the word of a proxy
            said = json.loads(said)["message"]
        raise Refused(error.code, said) from error


def passwords(environ: Mapping[str, str]) -> None:
    """Make Secrets where there are none: the store's owner's, the pods', and the seed of other logins' passwords."""
    own = (ACCOUNT / "namespace").read_text()

    def login(key: str, name: str) -> Json:
        password = secrets.token_urlsafe(24)
        return {key: f"postgresql://{name}:{password}@{environ['HOST']}:5432/perdure", "password": password}

    for secret, data in (
        (environ["OWNER_SECRET"], login("url", "perdure")),
        (environ["POD_SECRET"], login(environ["POD_KEY"], "perdure_shared")),
        (environ["LOGINS_SECRET"], {"seed": secrets.token_urlsafe(32)}),
    ):
        # Whoever wrote it before owns its fields, as another manager than this: then nothing is changed.
        manager = f"perdure-passwords-{secrets.token_hex(8)}"
        try:
            apply(own, secret, data, f"fieldManager={manager}&force=false")
        except Refused as refused:
            if refused.status != 409:
                raise
            print(f"Secret {secret} is there")
        else:
            print(f"Secret {secret} is new")


def name(environ: Mapping[str, str]) -> None:
    """Write the image's list of users, with the one of this pod: one that a platform gives has no entry in it."""
    users, user = Path("/etc/passwd").read_text().splitlines(), os.getuid()
    if not any(line.split(":")[2:3] == [str(user)] for line in users):
        users.append(f"user-{user}:x:{user}:{os.getgid()}::/tmp:/usr/sbin/nologin")
    Path(environ["FILE"]).write_text("".join(f"{line}\n" for line in users))


def kind(environ: Mapping[str, str]) -> None:
    """Bring the kind Workflow to this release, as `migrate` brings the store: where a newer one was here, it stays.

    It is in no release of Helm's. One that is rolled back would apply the older kind, which takes from each Workflow
    the fields that only the newer one has; and one that is uninstalled would leave it as its own, for no other to take.
    """
    ours = json.loads(Path(environ["FILE"]).read_text())
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{ours['metadata']['name']}"
    while True:
        theirs = found(path)
        if theirs is not None and release(theirs) > release(ours):
            print(f"The kind Workflow stays that of {shown(theirs)}: this is {shown(ours)}")
            break
        try:
            call("PATCH", f"{path}?{how_to_apply(ours, theirs)}", at_version(ours, theirs), APPLY)
        except Refused as refused:
            if refused.status != 409:
                raise
            time.sleep(LOOK_AGAIN / 4)  # somebody else has written it, perhaps of a newer release
        else:
            print(f"The kind Workflow is that of {shown(ours)}")
            break
    while not established(call("GET", path)):
        time.sleep(LOOK_AGAIN / 4)


def found(path: str) -> Json | None:
    """An object, or None where there is none; raises as `call`."""
    try:
        return call("GET", path)
    except Refused as refused:
        if refused.status != 404:
            raise
        return None


def how_to_apply(ours: Json, theirs: Json | None) -> str:
    """The query of the request: one that finds no object may not change what another release made in between.

    Its fields are those of another manager then, and without force that is a conflict.
    """
    return f"fieldManager=perdure-{shown(ours)}&force={'false' if theirs is None else 'true'}"


def at_version(ours: Json, theirs: Json | None) -> Json:
    """Ours, to be laid over theirs only as long as that is what was seen."""
    if theirs is None:
        return ours
    return {**ours, "metadata": {**ours["metadata"], "resourceVersion": theirs["metadata"]["resourceVersion"]}}


def shown(definition: Json) -> str:
    """The release of a kind, or nothing: whoever made it did not say."""
    return str(definition["metadata"].get("annotations", {}).get("perdure.io/release", ""))


def release(definition: Json) -> tuple[Any, ...]:
    """The release of a kind, to be compared: as semantic versions are, and what is none is older than all."""
    parts = re.match(r"(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?", shown(definition))
    if parts is None:
        return ()
    before = [(0, int(one), "") if one.isdecimal() else (1, 0, one) for one in (parts[4] or "").split(".")]
    return (*map(int, parts.groups()[:3]), parts[4] is None, before)


def established(definition: Json) -> bool:
    """Whether objects of a kind can be made."""
    conditions = definition.get("status", {}).get("conditions") or []  # null, before there is one
    return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)


def wait(environ: Mapping[str, str]) -> None:
    """Wait, however long, until the chart's own Postgres takes connections: then its passwords are there, too.

    What comes next would fail meanwhile, and be tried again after ever longer pauses.
    """
    while True:
        with suppress(OSError), socket.create_connection((environ["HOST"], int(environ["PORT"])), timeout=2):
            return
        time.sleep(LOOK_AGAIN / 4)


def share(environ: Mapping[str, str]) -> None:
    """Write the pods' Secret into other namespaces, whatever was there. One that is gone leaves the others alone.

    Where Postgres is the chart's own, each of them gets a login of its own; else all get what is in the release's.
    """
    here = (ACCOUNT / "namespace").read_text()
    namespaces = [one for one in environ["NAMESPACES"].split(",") if one not in ("", here)]  # here it is already
    if "LOGINS_SEED" in environ:
        urls = own_logins(environ, namespaces)
    else:
        urls = ((namespace, environ["DATABASE_URL"]) for namespace in namespaces)
    secret = environ["SECRET"]
    for namespace, url in urls:
        try:
            apply(namespace, secret, {environ["KEY"]: url}, "fieldManager=perdure&force=true")
        except Refused as refused:
            if refused.status not in (403, 404):
                raise
            print(f"Secret {secret} is NOT in namespace {namespace}: {refused}")
        else:
            print(f"Secret {secret} is in namespace {namespace}")


def own_logins(environ: Mapping[str, str], namespaces: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Each namespace with the URL of its own login, which is made or set anew; those of other namespaces are locked.

    A password follows from the seed, the namespace and how often its login was locked. So each start finds the same
    one and reads no Secret for it, and what opened a login before it was locked opens nothing afterwards.

    Before all that the server is closed to what a login could do to the others: a database that was restored is open.
    A login that cannot be set leaves the others alone: its namespace keeps the Secret that it has.

    Raises:
        SystemExit: the store does not take it.
    """
    from perdure.errors import PerdureError, StoreError
    from perdure.store.schema.closed_server import close_server
    from perdure.store.schema.logins import (
        Binding,
        Purpose,
        keep_login,
        list_logins,
        lock_others,
        login_name,
        login_url,
    )

    store, seed = environ["PERDURE_DATABASE_URL"], environ["LOGINS_SEED"].encode()
    cluster = environ.get("CLUSTER_ID") or call("GET", "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    owner = f"cluster:{cluster}"
    try:
        close_server(store, pod_role=environ["POD_ROLE"])
        for login in lock_others(store, owner, OWN_LOGIN, namespaces):
            print(f"Login {login} is locked: its namespace is not among those that are to have the Secret")
        locks = {(one.binding.login, one.binding.owner): one.locks for one in list_logins(store)}
        for namespace in namespaces:
            login = login_name(namespace, OWN_LOGIN)
            told = f"{owner}/{namespace}/{locks.get((login, owner), 0)}"
            digest = hmac.digest(seed, told.encode(), hashlib.sha256)
            password = base64.urlsafe_b64encode(digest).decode().rstrip("=")
            binding = Binding(login, owner, namespace, Purpose.PODS)
            try:
                keep_login(store, binding, pod_role=environ["POD_ROLE"], password=password)
            except StoreError as error:
                list_logins(store)  # which raises, if it is the store that cannot be used
                print(f"Login {login} is NOT set, and its namespace keeps the Secret that it has: {error}")
                continue
            yield namespace, login_url(store, login, password)
    except PerdureError as error:
        raise SystemExit(f"share: {error}") from error


def apply(namespace: str, secret: str, data: Mapping[str, str], how: str) -> None:
    """Apply a Secret; raises as `call`."""
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret, "labels": {"app.kubernetes.io/part-of": "perdure"}},
        "data": {key: base64.b64encode(value.encode()).decode() for key, value in data.items()},
    }
    call("PATCH", f"/api/v1/namespaces/{namespace}/secrets/{secret}?{how}", body, APPLY)


def check(environ: Mapping[str, str]) -> None:
    """Run a Workflow whose process is killed in its second step, and see that it goes on from there.

    Raises:
        SystemExit: it did not; the Workflow is left to look at.
    """
    if not environ["NAMESPACE"]:
        raise SystemExit(
            "No namespace is known that may have Workflows: name one in workflows.databaseSecret.namespaces, which"
            " gives it the Secret by which its pods reach the store, or in test.namespace, if that Secret is there."
        )
    workflow = environ["WORKFLOW"]
    every = f"/apis/perdure.io/v1alpha1/namespaces/{environ['NAMESPACE']}/workflows"
    one = f"{every}/{workflow}"
    remove(one)
    labels = {"perdure.io/instance": environ["INSTANCE"]} if "INSTANCE" in environ else {}
    body: Json = {
        "apiVersion": "perdure.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": workflow, "labels": labels},
        "spec": {"entrypoint": "crashing:survive", "source": {"inline": {"crashing.py": CRASHING}}},
    }
    call("POST", every, body)
    status = until_finished(one)
    print(json.dumps(status, indent=2))
    if status.get("result") != [1, 2, 2] or status.get("attempts") != 2:
        raise SystemExit("It should have succeeded in its second attempt, with the result [1, 2, 2].")
    remove(one)
    print("It was killed in its second step and went on from there: the first ran once.")


def until_finished(path: str) -> Json:
    """The status of a Workflow once its run has ended, or as it is when patience has."""
    ends = time.monotonic() + PATIENCE
    while True:
        status: Json = call("GET", path).get("status", {})
        conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
        if conditions.get("Finished") == "True" or time.monotonic() > ends:
            return status
        time.sleep(LOOK_AGAIN)


def remove(path: str) -> None:
    """Delete an object, if it is there, and wait until it is not."""
    try:
        call("DELETE", path)
        while True:
            call("GET", path)
            time.sleep(LOOK_AGAIN)
    except Refused as refused:
        if refused.status != 404:
            raise


if __name__ == "__main__":
    try:
        chores = {"passwords": passwords, "name": name, "kind": kind, "wait": wait, "share": share, "check": check}
        chores[sys.argv[1]](os.environ)
    except (Refused, OSError) as error:
        raise SystemExit(f"{sys.argv[1]}: {error}") from error
