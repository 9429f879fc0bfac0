"""What accounts asked of the API server, and what it decided, from its audit log.

`POLICY` keeps what pods' accounts do, who takes rights away, and when an API server begins to read who has which;
bodies of requests are in no line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from .api import Json

__all__ = ["POLICY", "AuditLog", "Deed"]

_BINDINGS = ("clusterrolebindings", "rolebindings")
_RBAC = "rbac.authorization.k8s.io"
_ITSELF = "system:apiserver"
_STARTING = timedelta(seconds=5)
_NONE, _METADATA = {"level": "None"}, {"level": "Metadata"}

POLICY: Json = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {
            **_METADATA,
            "users": [_ITSELF],
            "verbs": ["list", "watch"],
            "resources": [{"group": _RBAC, "resources": list(_BINDINGS)}],
        },
        {**_NONE, "users": [_ITSELF]},
        {
            **_METADATA,
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
            "resources": [{"group": _RBAC, "resources": list(_BINDINGS)}],
        },
        {**_NONE, "userGroups": ["system:serviceaccounts:kube-system"]},
        {**_METADATA, "userGroups": ["system:serviceaccounts"]},
        _NONE,
    ],
}

# "RBAC: allowed by RoleBinding "name/namespace" of Role "name" to ServiceAccount "name/namespace""
_ALLOWED = re.compile(r'allowed by (\w+)Binding "([^"]+)" of \w+ "[^"]+" to (\w+) "([^"]+)"')


@dataclass(frozen=True, slots=True)
class Deed:
    """One request.

    Attributes:
        when: text that sorts as the moments do.
        account: `namespace/name` of a service account; anybody else's user name.
        resource: with the subresource, as in a rule of a role; a path where it was about none.
        refused: whether it was not authorised.
        binding: kind and name of the binding that allowed it; empty where none did.
        given_to: kind and name of whom that binding is for.
        code: of the answer; 0 while there is none.
    """

    when: str
    account: str
    verb: str
    group: str
    resource: str
    namespace: str
    name: str
    refused: bool
    binding: tuple[str, str]
    given_to: tuple[str, str]
    code: int

    @property
    def by_others(self) -> bool:
        """Whether it was about a resource, and a binding allowed it that is not for this very account."""
        name, _, namespace = self.given_to[1].partition("/")
        own = self.given_to[0] == "ServiceAccount" and f"{namespace}/{name}" == self.account
        return not (self.refused or own or self.resource.startswith("/"))

    def __str__(self) -> str:
        about = "/".join(part for part in (self.group, self.resource, self.namespace, self.name) if part)
        by = "refused" if self.refused else f"by {' '.join(self.binding)}"
        return f"{self.when} {self.account}: {self.verb} {about} ({self.code}, {by})"


class AuditLog:
    """The log as it was when it was read."""

    def __init__(self, lines: Iterable[str]) -> None:
        found: dict[str, Deed] = {}
        self._starts: set[datetime] = set()
        for line in lines:
            if not line.endswith("\n"):  # it is just being written
                continue
            event = json.loads(line)
            deed = _deed(event)
            if deed.account != _ITSELF:
                found[event["auditID"]] = deed  # of a watch there are two: its begin and its end
            elif deed.verb == "list" or "sendInitialEvents=true" in event["requestURI"]:
                self._starts.add(datetime.fromisoformat(deed.when))
        self._all = sorted(found.values(), key=lambda deed: deed.when)

    def of(self, accounts: re.Pattern[str]) -> list[Deed]:
        """What accounts did whose `namespace/name` matches as a whole, oldest first."""
        return [deed for deed in self._all if accounts.fullmatch(deed.account)]

    def wrongly_refused(self, deeds: Sequence[Deed]) -> list[Deed]:
        """Those that were refused, and it was not for a moment.

        An API server that starts knows nobody's rights, and what is uninstalled is so after its binding.
        """
        bindings: dict[str, set[tuple[str, str]]] = {}
        for deed in deeds:
            if deed.binding[0]:
                bindings.setdefault(deed.account, set()).add(deed.binding)
        refused = [deed for deed in deeds if deed.refused and not self._starting(deed.when)]
        return [deed for deed in refused if not self._lost(deed, bindings.get(deed.account, set()))]

    def _starting(self, when: str) -> bool:
        return any(abs(datetime.fromisoformat(when) - start) < _STARTING for start in self._starts)

    def _lost(self, refused: Deed, bindings: set[tuple[str, str]]) -> bool:
        """Whether one of these bindings was taken away before that, and not given again."""
        there = dict.fromkeys(bindings, True)
        for deed in self._all:
            if deed.when >= refused.when:
                break
            if deed.group != _RBAC or deed.code >= 400:
                continue
            for kind, name in bindings:
                if _is_about(deed, kind, name):
                    there[kind, name] = not deed.verb.startswith("delete")
        return not all(there.values())


def _is_about(deed: Deed, kind: str, binding: str) -> bool:
    name, _, namespace = binding.partition("/")
    same = (deed.resource, deed.namespace) == (f"{kind.lower()}bindings", namespace)
    return same and (deed.name == name or deed.verb == "deletecollection")


def _deed(event: dict[str, Any]) -> Deed:
    about, notes = event.get("objectRef", {}), event.get("annotations", {})
    found = _ALLOWED.search(notes.get("authorization.k8s.io/reason", ""))
    kind, binding, to_kind, to = found.groups() if found else ("", "", "", "")
    resource = "/".join(about[part] for part in ("resource", "subresource") if about.get(part))
    account = re.sub(r"^system:serviceaccount:([^:]+):", r"\1/", event["user"]["username"])
    return Deed(
        when=event["requestReceivedTimestamp"],
        account=account,
        verb=event["verb"],
        group=about.get("apiGroup", ""),
        resource=resource or event["requestURI"].partition("?")[0],
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        refused=notes.get("authorization.k8s.io/decision") == "forbid",
        binding=(kind, binding),
        given_to=(to_kind, to),
        code=event.get("responseStatus", {}).get("code", 0),
    )
