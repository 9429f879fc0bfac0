"""An installation of the product in a cluster, as its tests make it: CRD, Postgres, operator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory

from tests.cluster.api import Api, ApiException, Json
from tests.cluster.cluster import Cluster
from tests.cluster.crds import install_crd, workflow_crd
from tests.cluster.helm import Helm
from tests.cluster.images import Image

from . import operator, postgres
from .database import Store
from .image import ProductImages

__all__ = ["Installation"]

_RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}


@dataclass(frozen=True, slots=True)
class Installation:
    """Where it is, its store, and the image of the pods of Workflows that name none."""

    cluster: Cluster
    image: Image
    namespace: str
    store: Store
    pod_password: str

    @classmethod
    @contextmanager
    def make(
        cls, cluster: Cluster, images: ProductImages, replicas: int = 1, **settings: str
    ) -> Iterator[Installation]:
        """Install it; its namespace goes when the block ends. `settings` are the operator's, as its variables."""
        namespace, password, pod_password = f"perdure-{token_hex(3)}", token_hex(8), token_hex(8)
        api = cluster.api
        install_crd(api, workflow_crd())
        api.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": _RESTRICTED}})
        store = Store(cluster, namespace, postgres.NAME, password)
        with TemporaryDirectory() as folder:
            helm = Helm(Path(folder), print)
            try:
                postgres.install_postgres(api, namespace, images.operator.name, password, pod_password)
                operator.install_operator(helm, api, namespace, images, replicas, **settings)
                postgres.until_ready(api, namespace)
                operator.until_available(api, namespace, replicas)
                yield cls(cluster, images.runtime, namespace, store, pod_password)
            finally:
                store.close()
                operator.remove_operator(helm, api, namespace)
                api.delete(f"/api/v1/namespaces/{namespace}")

    @contextmanager
    def workspace(self) -> Iterator[str]:
        """A namespace for Workflows, whose pods can reach the store; it goes with everything in it."""
        namespace = f"work-{token_hex(3)}"
        api = self.cluster.api
        api.create("/api/v1/namespaces", {"metadata": {"name": namespace, "labels": _RESTRICTED}})
        secret: Json = postgres.pod_secret(self.namespace, self.pod_password)
        api.create(f"/api/v1/namespaces/{namespace}/secrets", secret)
        try:
            yield namespace
        finally:
            _delete(api, f"/api/v1/namespaces/{namespace}")


def _delete(api: Api, path: str) -> None:
    """Delete what a test may have deleted before."""
    try:
        api.delete(path)
    except ApiException as error:
        if error.status != 404:
            raise
