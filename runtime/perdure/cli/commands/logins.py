"""`perdure logins add`, `list` and `lock`.

A password is made here, printed once as part of a Secret's data, and kept nowhere.
"""

from __future__ import annotations

import secrets
import sys
from argparse import Namespace

from ...errors import UsageError
from ...local.store_target import open_target
from ...store.schema.logins import Binding, Purpose, add_login, list_logins, lock_login, login_name, login_url
from ..output.documents import print_document, table

__all__ = ["add", "list_bound", "lock"]

_NAMES = {Purpose.PODS: "{}_pods", Purpose.READER: "{}_reads"}


def add(arguments: Namespace) -> int:
    """Make a login and bind it to a namespace; print a Secret for pods, a URL for a reader."""
    purpose = Purpose(arguments.purpose)
    owner = str(arguments.owner)
    if not owner.startswith("cluster:") or owner == "cluster:":
        raise UsageError(
            f"--owner {owner}: the owner of a cluster's runs is cluster: and the UID of its namespace kube-system, or"
            " the operator's clusterId: kubectl get namespace kube-system --output=jsonpath=cluster:{.metadata.uid}"
        )
    login = arguments.login or login_name(arguments.namespace, _NAMES[purpose])
    password = None if arguments.existing else secrets.token_urlsafe(24)
    with open_target(arguments.database_url) as place:
        new = add_login(
            place.url,
            Binding(login, owner, arguments.namespace, purpose),
            pod_role=arguments.pod_role,
            password=password,
            again=arguments.new_password,
            connection_limit=arguments.connection_limit,
        )
        url = None if password is None else login_url(place.url, login, password, arguments.host)
    done = "new" if new else "bound" if password is None else "given a new password"
    sys.stderr.write(f"the login {login} of the namespace {arguments.namespace} ({purpose}) is {done}\n")
    if url is None:
        return 0
    if purpose is Purpose.PODS:
        print_document(_secret(arguments.secret, arguments.namespace, arguments.key, url), "json")
    else:
        print(url)
    return 0


def list_bound(arguments: Namespace) -> int:
    """List the logins that are bound to a namespace."""
    with open_target(arguments.database_url) as place:
        found = list_logins(place.url)
    if arguments.output != "text":
        documents = [
            {
                "login": one.binding.login,
                "owner": one.binding.owner,
                "namespace": one.binding.namespace,
                "purpose": str(one.binding.purpose),
                "may_log_in": one.may_log_in,
            }
            for one in found
        ]
        print_document(documents, arguments.output)
    elif found:
        rows = [
            [
                one.binding.login,
                one.binding.namespace,
                str(one.binding.purpose),
                one.binding.owner,
                "" if one.may_log_in else "no login of the server",
            ]
            for one in found
        ]
        print("\n".join(table(["login", "namespace", "purpose", "owner", ""], rows)))
    else:
        print("no login is bound to a namespace: all pods share theirs")
    return 0


def lock(arguments: Namespace) -> int:
    """Lock a login."""
    with open_target(arguments.database_url) as place:
        ended = lock_login(place.url, arguments.login)
    print(f"{arguments.login} is locked; sessions that were ended: {ended}")
    return 0


def _secret(name: str, namespace: str, key: str, url: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": namespace},
        "stringData": {key: url},
    }
