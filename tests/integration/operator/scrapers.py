"""Who asks an operator for metrics, as Prometheus does."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Any

import urllib3

from tests.cluster.api import Api
from tests.harness.eventually import eventually
from tests.integration.chart.rights import token

from .operators import Operator

__all__ = ["Scraper", "account"]

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Scraper:
    """Who asks an operator for metrics by HTTPS."""

    def __init__(self, operator: Operator, authority: Path | None = None) -> None:
        def port() -> int:
            return next((int(line["port"]) for line in operator.log if line["message"] == "serving metrics"), 0)

        self._url = f"https://localhost:{eventually(port, deadline=40)}/metrics"
        checked: dict[str, Any] = {"cert_reqs": "CERT_NONE"}
        if authority is not None:
            checked = {
                "ca_certs": str(authority),
                "assert_hostname": "operator.test",
                "server_hostname": "operator.test",
            }
        self._pool = urllib3.PoolManager(retries=False, **checked)

    def get(self, token: str | None = None, scheme: str = "Bearer") -> tuple[int, str]:
        headers = {} if token is None else {"Authorization": f"{scheme} {token}"}
        answer = self._pool.request("GET", self._url, headers=headers, timeout=15)
        return answer.status, answer.data.decode()


def account(api: Api, namespace: str, *, may_read: bool) -> str:
    """A token of a new account, which may read metrics or has no right at all."""
    name = f"scraper-{token_hex(3)}"
    api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})
    if may_read:
        rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
        api.create(f"{_RBAC}/clusterroles", {"metadata": {"name": name}, "rules": rules})
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
        subjects = [{"kind": "ServiceAccount", "name": name, "namespace": namespace}]
        body = {"metadata": {"name": name}, "roleRef": role, "subjects": subjects}
        api.create(f"{_RBAC}/clusterrolebindings", body)
    return token(api, namespace, name)
