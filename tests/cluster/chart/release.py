"""A release of the packaged chart, as somebody has it who has Helm and the package and nothing else."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from secrets import token_hex

import yaml

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.helm import CHART, Helm

__all__ = ["RESTRICTED", "VERSION", "Release", "team_namespace"]

VERSION = str(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"])
"""That of the chart, and of the image that it names."""

RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
"""Labels of a namespace that lets only restricted pods in."""

_PATIENCE = "--timeout=3m"

_SCRAPE = """
import ssl, sys, urllib.error, urllib.request
request = urllib.request.Request("https://localhost:8443/metrics", headers={"Authorization": f"Bearer {sys.argv[1]}"})
try:
    answer = urllib.request.urlopen(request, context=ssl._create_unverified_context(), timeout=15)
except urllib.error.HTTPError as error:
    answer = error
print(answer.status, answer.read().decode(), sep="\\n")
"""


def team_namespace(cluster: Cluster, kind: str = "team") -> str:
    """A new namespace for Workflows, which lets only restricted pods in."""
    name = f"{kind}-{token_hex(3)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": RESTRICTED}})
    return name


class Release:
    """The release `perdure` in a namespace that lets only restricted pods in."""

    name = "perdure"

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.namespace = f"perdure-{token_hex(3)}"
        self.helm = Helm(folder, print, cluster.kubeconfig)
        cluster.api.create("/api/v1/namespaces", {"metadata": {"name": self.namespace, "labels": RESTRICTED}})
        self._folder = folder
        self.package = self.packaged(VERSION)

    def packaged(self, version: str) -> Path:
        """The chart as the package of a version, which names the image of that version."""
        self.helm.run("package", str(CHART), f"--destination={self._folder}", *_versions(version))
        return self._folder / f"perdure-{version}.tgz"

    def image(self, version: str = VERSION) -> str:
        """The name that a version has for the image of its operator."""
        return f"perdure:{version}"

    def runtime_image(self, version: str = VERSION) -> str:
        """The name that it has for the image of Workflows that name none."""
        return f"perdure-runtime:{version}"

    def run(self, command: str, *arguments: str) -> str:
        """Run a command of Helm's on the release; errors as `Helm.run`."""
        return self.helm.run(command, self.name, *arguments, f"--namespace={self.namespace}")

    def install(self, *arguments: str) -> str:
        """Install it, if nothing else is said with no values; the notes."""
        return self.run("install", str(self.package), "--wait", _PATIENCE, *arguments)

    def upgrade(self, package: Path | None = None, *arguments: str) -> str:
        """Upgrade it, if nothing else is said to the same, with the values that it was given before."""
        asked = ("--reset-then-reuse-values", "--wait", _PATIENCE, *arguments)
        return self.run("upgrade", str(package or self.package), *asked)

    def uninstall(self) -> str:
        """Uninstall it."""
        return self.run("uninstall", "--wait", _PATIENCE)

    def manifests(self, *arguments: str) -> str:
        """What it consists of, without the cluster being asked."""
        return self.run("template", str(self.package), "--skip-tests", *arguments)

    def kubectl(self, *arguments: str, given: str = "", namespace: str = "") -> str:
        """Run kubectl, in its namespace if none is named."""
        return self._kubectl(f"--namespace={namespace or self.namespace}", *arguments, given=given)

    def apply(self, manifests: str) -> None:
        """Apply objects by kubectl, each in the namespace that it names."""
        self._kubectl("apply", "--filename=-", given=manifests)

    def _kubectl(self, *arguments: str, given: str) -> str:
        command = [self.cluster.kubectl, f"--kubeconfig={self.cluster.kubeconfig}"]
        done = subprocess.run([*command, *arguments], input=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def scrape(self, *, may_read: bool) -> tuple[int, str]:
        """Ask one of its operators for metrics, as an account that may read them or has no right; status and text."""
        api, name = self.cluster.api, f"scraper-{token_hex(3)}"
        api.create(f"/api/v1/namespaces/{self.namespace}/serviceaccounts", {"metadata": {"name": name}})
        if may_read:
            rbac = "/apis/rbac.authorization.k8s.io/v1"
            rules = [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]
            role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
            subjects = [{"kind": "ServiceAccount", "name": name, "namespace": self.namespace}]
            api.create(f"{rbac}/clusterroles", {"metadata": {"name": name}, "rules": rules})
            binding = {"metadata": {"name": name}, "roleRef": role, "subjects": subjects}
            api.create(f"{rbac}/clusterrolebindings", binding)
        token = self.kubectl("create", "token", name).strip()
        told = self.kubectl("exec", "deployment/perdure-operator", "--", "python3", "-c", _SCRAPE, token)
        status, _, text = told.partition("\n")
        return int(status), text

    def secrets(self) -> dict[str, dict[str, str]]:
        """The Secrets of its namespace that are not Helm's."""
        found = self._listed("secrets")
        return {
            one["metadata"]["name"]: {key: base64.b64decode(value).decode() for key, value in one["data"].items()}
            for one in found
            if not one["type"].startswith("helm.sh/")
        }

    def passwords(self) -> dict[str, str]:
        """Those of its logins, by the names of their Secrets; and the seed from which other logins' follow."""
        return {name: secret.get("password") or secret["seed"] for name, secret in self.secrets().items()}

    def pods(self, component: str) -> list[Json]:
        """Its pods of a component."""
        return self._listed("pods", labelSelector=f"app.kubernetes.io/component={component}")

    def there(self, plural: str) -> set[str]:
        """The names of objects in its namespace, of the core's kinds."""
        return {one["metadata"]["name"] for one in self._listed(plural)}

    def _listed(self, plural: str, **query: str) -> list[Json]:
        items: list[Json] = self.cluster.api.get(f"/api/v1/namespaces/{self.namespace}/{plural}", **query)["items"]
        return items


def _versions(version: str) -> tuple[str, str]:
    return f"--version={version}", f"--app-version={version}"
