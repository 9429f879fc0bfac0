"""An audit log tells what accounts did and were refused, and rights are held against that in both directions."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.cluster.audit import AuditLog, Deed
from tests.cluster.rights import Right, rights_of

OPERATOR = "here/perdure-operator"
OURS = re.compile(r"[^/]+/perdure-.*")
BINDING = 'RBAC: allowed by RoleBinding "election/here" of Role "election" to ServiceAccount "perdure-operator/here"'
OF_ALL = 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "x" to Group "system:authenticated"'


def line(second: int, verb: str, reason: str = BINDING, user: str = "", **about: Any) -> str:
    event: dict[str, Any] = {
        "auditID": f"{second} {verb}",
        "requestReceivedTimestamp": f"2030-01-01T00:00:{second:02}.000000Z",
        "user": {"username": user or f"system:serviceaccount:{OPERATOR.replace('/', ':')}"},
        "verb": verb,
        "requestURI": about.pop("uri", "/apis/x?limit=1"),
        "responseStatus": {"code": about.pop("code", 200 if reason else 403)},
        "annotations": {
            "authorization.k8s.io/decision": "allow" if reason else "forbid",
            "authorization.k8s.io/reason": reason,
        },
    }
    return json.dumps({**event, **({"objectRef": about} if about else {})}) + "\n"


def lease(second: int, verb: str = "get", **more: Any) -> str:
    about = {"apiGroup": "coordination.k8s.io", "resource": "leases", "namespace": "here", "name": "perdure-operator"}
    return line(second, verb, **{**about, **more})


def of_binding(second: int, verb: str, name: str = "election", **more: Any) -> str:
    about = {"apiGroup": "rbac.authorization.k8s.io", "resource": "rolebindings", "namespace": "here"}
    return line(second, verb, user="admin", **about, **({"name": name} if name else {}), **more)


def deeds(*lines: str) -> list[Deed]:
    return AuditLog(lines).of(OURS)


def refused(*lines: str) -> list[str]:
    log = AuditLog(lines)
    return [deed.when[17:19] for deed in log.wrongly_refused(log.of(OURS))]


def test_each_request_is_one_deed_with_what_allowed_it() -> None:
    other = lease(3, user="system:serviceaccount:here:default")
    watch = [lease(4, "watch", code=code, subresource="status") for code in (0, 200)]
    first, second = deeds(lease(2), other, *watch, lease(5)[:-9])
    assert (first.account, first.verb, first.resource, first.name) == (OPERATOR, "get", "leases", "perdure-operator")
    assert (first.binding, first.given_to) == (("Role", "election/here"), ("ServiceAccount", "perdure-operator/here"))
    assert (second.resource, second.code) == ("leases/status", 200)


def test_what_a_binding_for_others_allows_is_told() -> None:
    own, of_all, path, no = deeds(lease(1), lease(2, reason=OF_ALL), line(3, "get", OF_ALL), lease(4, reason=""))
    assert [deed.by_others for deed in (own, of_all, path, no)] == [False, True, False, False]
    assert path.resource == "/apis/x"


def test_what_is_refused_is_told() -> None:
    assert refused(lease(1), lease(2, reason=""), lease(3)) == ["02"]


def test_not_while_an_api_server_starts() -> None:
    began = line(20, "watch", user="system:apiserver", resource="rolebindings", uri="/apis/x?sendInitialEvents=true")
    goes_on = line(40, "watch", user="system:apiserver", resource="rolebindings")
    moments = [lease(second, reason="") for second in (10, 18, 22, 30, 40)]
    assert refused(lease(1), *moments, began, goes_on) == ["10", "30", "40"]


def test_not_once_its_binding_is_gone_and_until_there_is_another() -> None:
    moments = [lease(second, reason="") for second in (10, 20, 30)]
    assert refused(lease(1), *moments, of_binding(15, "delete"), of_binding(25, "patch")) == ["10", "30"]
    assert refused(lease(1), *moments, of_binding(15, "deletecollection", name="")) == ["10"]
    assert refused(lease(1), *moments, of_binding(15, "delete", code=404)) == ["10", "20", "30"]
    assert refused(lease(1), *moments, of_binding(15, "delete", name="other")) == ["10", "20", "30"]


RULES = [
    {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["a", "b"], "verbs": ["create", "patch"]},
    {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get"]},
]
OBJECTS = [
    {"kind": "Role", "metadata": {"name": "unbound", "namespace": "here"}, "rules": RULES},
    {"kind": "Role", "metadata": {"name": "election", "namespace": "here"}, "rules": RULES},
    {
        "kind": "RoleBinding",
        "metadata": {"name": "election", "namespace": "here"},
        "roleRef": {"kind": "Role", "name": "election"},
        "subjects": [{"kind": "ServiceAccount", "name": "perdure-operator", "namespace": "here"}],
    },
]


def test_a_role_is_as_many_rights_as_it_has_verbs_for_names() -> None:
    secrets = {Right(OPERATOR, verb, "", "secrets", name, "here") for verb in ("create", "patch") for name in "ab"}
    assert rights_of(OBJECTS) == {*secrets, Right(OPERATOR, "get", "coordination.k8s.io", "leases", "", "here")}


def test_a_right_allows_what_it_says_and_no_more() -> None:
    right = Right(OPERATOR, "get", "coordination.k8s.io", "leases", "perdure-operator", "here")
    own, update, elsewhere, other, status = deeds(
        lease(1), lease(2, "update"), lease(3, namespace="there"), lease(4, name="b"), lease(5, subresource="status")
    )
    assert right.allows(own)
    assert not [deed for deed in (update, elsewhere, other, status) if right.allows(deed)]


def test_an_apply_that_made_its_object_took_both_rights() -> None:
    patch, create = (Right(OPERATOR, verb, "", "secrets", "a", "here") for verb in ("patch", "create"))
    about = {"resource": "secrets", "namespace": "here", "name": "a"}
    made, changed = deeds(line(1, "patch", code=201, **about), line(2, "patch", **about))
    assert [right.allows(made) for right in (patch, create)] == [True, True]
    assert [right.allows(changed) for right in (patch, create)] == [True, False]
