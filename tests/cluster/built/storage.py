"""The default StorageClass: claims bind to volumes made beforehand, folders of the nodes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.cluster.api import Api, Json

__all__ = ["provide", "reclaim"]

_CLASS = "standard"  # as kind calls its own
_VOLUMES = 10  # for each node
_SIZE = "10Gi"  # what a claim may ask for; nothing enforces it


def provide(api: Api, nodes: Mapping[str, Path]) -> None:
    """Make the class, and on each node volumes in its folder. A claim binds once a pod that uses it has a node."""
    api.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "metadata": {"name": _CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "kubernetes.io/no-provisioner",
            "volumeBindingMode": "WaitForFirstConsumer",
            "reclaimPolicy": "Retain",
        },
    )
    for name, node, path in _volumes(nodes):
        path.mkdir(parents=True)
        path.chmod(0o777)
        api.create("/api/v1/persistentvolumes", _volume(name, path, node))


def reclaim(api: Api, nodes: Mapping[str, Path]) -> None:
    """Empty the volumes whose claims are gone, and make them available again. Kubernetes leaves that to a person."""
    volumes = api.get("/api/v1/persistentvolumes")["items"]
    released = {volume["metadata"]["name"] for volume in volumes if volume["status"].get("phase") == "Released"}
    # Only folders made here are emptied, wherever a volume of another's may claim to be.
    for name, _, folder in _volumes(nodes):
        if name in released:
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            api.patch(f"/api/v1/persistentvolumes/{name}", {"spec": {"claimRef": None}})


def _volumes(nodes: Mapping[str, Path]) -> Iterator[tuple[str, str, Path]]:
    """The name, node and folder of each."""
    for node, folder in nodes.items():
        for number in range(1, _VOLUMES + 1):
            yield f"{node}-{number}", node, folder / str(number)


def _volume(name: str, path: Path, node: str) -> Json:
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": _SIZE},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": _CLASS,
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(path)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }
