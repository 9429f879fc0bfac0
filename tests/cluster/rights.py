"""What a release's manifests let its accounts do: given to them in a cluster, and compared with what they did."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .api import Api, Json
from .audit import Deed
from .helm import Helm

__all__ = ["Right", "give_rights", "rights_of", "take_rights"]

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PATHS = {
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts/{name}",
    "Lease": "/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}",
    "Role": _RBAC + "/namespaces/{namespace}/roles/{name}",
    "RoleBinding": _RBAC + "/namespaces/{namespace}/rolebindings/{name}",
    "ClusterRole": _RBAC + "/clusterroles/{name}",
    "ClusterRoleBinding": _RBAC + "/clusterrolebindings/{name}",
}
_CLUSTERWIDE = ("ClusterRole", "ClusterRoleBinding")


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One verb on one resource, for one account.

    Attributes:
        account: `namespace/name`.
        resource: with the subresource, if it is about one.
        name: of the only object; empty: any.
        namespace: the only one; empty: any.
    """

    account: str
    verb: str
    group: str
    resource: str
    name: str
    namespace: str

    def __str__(self) -> str:
        about = "/".join(part for part in (self.group, self.resource, self.namespace or "*", self.name or "*") if part)
        return f"{self.account}: {self.verb} {about}"

    def allows(self, deed: Deed) -> bool:
        """Whether it is enough for a deed, or for a part of it."""
        return (
            (self.account, self.group, self.resource) == (deed.account, deed.group, deed.resource)
            and self.verb in _verbs(deed)
            and self.name in ("", deed.name)
            and self.namespace in ("", deed.namespace)
        )


def rights_of(objects: Iterable[Json]) -> set[Right]:
    """The rights of the service accounts among the subjects of a release's bindings."""
    objects = list(objects)
    roles = {_named(one): one["rules"] for one in objects if one["kind"] in ("Role", "ClusterRole")}
    found: set[Right] = set()
    for binding in objects:
        if binding["kind"] in ("RoleBinding", "ClusterRoleBinding"):
            namespace = binding["metadata"].get("namespace", "")
            role = binding["roleRef"]
            rules = roles[role["kind"], namespace if role["kind"] == "Role" else "", role["name"]]
            for subject in binding["subjects"]:
                assert subject["kind"] == "ServiceAccount", binding
                account = f"{subject['namespace']}/{subject['name']}"
                found.update(right for rule in rules for right in _rights(account, namespace, rule))
    return found


def give_rights(helm: Helm, api: Api, namespace: str, values: dict[str, Any]) -> None:
    """Create what of a release in a namespace says who may do what, and the Lease."""
    for body in helm.objects(values, "--skip-tests", namespace=namespace):
        if path := _PATHS.get(body["kind"]):
            api.apply(path.format(**{"namespace": None, **body["metadata"]}), body)


def take_rights(helm: Helm, api: Api, namespace: str, values: dict[str, Any]) -> None:
    """Delete what of it goes with no namespace."""
    for body in helm.objects(values, "--skip-tests", namespace=namespace):
        if body["kind"] in _CLUSTERWIDE:
            api.delete(_PATHS[body["kind"]].format(**body["metadata"]))


def _verbs(deed: Deed) -> tuple[str, ...]:
    # Server-side apply of what was not there asks for both.
    return ("patch", "create") if (deed.verb, deed.code) == ("patch", 201) else (deed.verb,)


def _rights(account: str, namespace: str, rule: dict[str, Any]) -> Iterator[Right]:
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    yield Right(account, verb, group, resource, name, namespace)


def _named(role: Json) -> tuple[str, str, str]:
    return role["kind"], role["metadata"].get("namespace", ""), role["metadata"]["name"]
