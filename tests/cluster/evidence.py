"""What is kept of a cluster in which tests failed, since it goes away with them.

That is the logs of its parts and, for each test that failed, what Kubernetes says of its namespace. It is in the cache,
where the last three such folders stay.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from secrets import token_hex

import pytest
from urllib3.exceptions import HTTPError

from tests.harness import cache

from .api import Api, ApiException, Json
from .built.cluster import BuiltCluster
from .cluster import Cluster
from .kind.cluster import KindCluster

__all__ = ["Evidence"]

_KEPT = 3
_LINES = "500"  # of each container's log
_OF_RUN = pytest.StashKey["Evidence"]()


class Evidence:
    """A folder that is made once there is something to keep."""

    @classmethod
    def of(cls, config: pytest.Config) -> Evidence:
        """That of a test run."""
        return config.stash.setdefault(_OF_RUN, cls())

    @classmethod
    def folder_of(cls, config: pytest.Config) -> Path | None:
        """Where that of a test run is, if anything was kept."""
        kept = config.stash.get(_OF_RUN, None)
        return kept.folder if kept else None

    def __init__(self) -> None:
        self.folder = cache.home() / "logs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{token_hex(2)}"

    def keep_namespace(self, cluster: Cluster, namespace: str, test: str) -> None:
        """Keep the pods, events and logs of a failed test's namespace."""
        into = self._made(namespace)
        (into / "test").write_text(f"{test}\n")
        api = cluster.another_api()
        try:
            for kind in ("events", "pods"):
                found = api.get(f"/api/v1/namespaces/{namespace}/{kind}")
                (into / f"{kind}.json").write_text(json.dumps(found, indent=1))
                for pod in found["items"] if kind == "pods" else []:
                    _keep_logs(api, pod, into)
        except (ApiException, HTTPError) as error:
            (into / "problem").write_text(f"The API server does not tell: {error}\n")
        finally:
            api.close()

    def keep_parts(self, cluster: Cluster) -> None:
        """Keep the logs of the cluster's own parts, where one can get at them."""
        if isinstance(cluster, BuiltCluster):
            shutil.copytree(cluster.enclosure.folder / "logs", self._made("parts"), dirs_exist_ok=True)
        elif isinstance(cluster, KindCluster):
            cluster.export_logs(self._made("parts"))

    def _made(self, name: str) -> Path:
        into = self.folder / name
        into.mkdir(parents=True, exist_ok=True)
        for older in sorted(self.folder.parent.iterdir())[:-_KEPT]:
            shutil.rmtree(older, ignore_errors=True)
        return into


def _keep_logs(api: Api, pod: Json, into: Path) -> None:
    at = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/log"
    for container in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
        try:
            printed = api.text(at, container=container["name"], tailLines=_LINES)
        except ApiException as error:  # it has not started, say
            printed = f"{error.status}: {error.body}\n"
        (into / f"{pod['metadata']['name']}-{container['name']}.log").write_text(printed)
