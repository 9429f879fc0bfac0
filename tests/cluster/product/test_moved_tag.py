"""A tag that moves between two attempts: each attempt's image is in the store, and the status warns of it."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest

from tests.cluster.images import Image
from tests.harness.eventually import eventually

from . import pod_faults
from .installation import Installation
from .stage import HELD, Stage

pytestmark = pytest.mark.timeout(240)

NAME = "perdure.test/moving:1"


def relabelled(image: Image, label: str, folder: Path) -> Image:
    """The same image under the name that moves, but for a label: so its id is another."""
    archive = folder / f"{label}.tar"
    with tarfile.open(image.archive) as old, tarfile.open(archive, "w") as new:
        [manifest] = json.loads(_read(old, "manifest.json"))
        config = json.loads(_read(old, manifest["Config"]))
        config["config"]["Labels"] = {"label": label}
        data = json.dumps(config).encode()
        name = f"{hashlib.sha256(data).hexdigest()}.json"
        for layer in manifest["Layers"]:
            new.addfile(old.getmember(layer), old.extractfile(layer))
        _add(new, name, data)
        _add(new, "manifest.json", json.dumps([{**manifest, "Config": name, "RepoTags": [NAME]}]).encode())
    return Image(NAME, archive)


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def test_a_tag_that_moves_between_two_attempts(perdure: Installation, tmp_path: Path) -> None:
    cluster = perdure.cluster
    cluster.load(relabelled(perdure.image, "one", tmp_path))
    with Stage.on(perdure) as stage:
        uid = stage.start("moved", HELD, image=NAME)
        stage.until_held("moved")
        eventually(lambda: len(images(stage, uid)) == 1, 30, every=0.5)
        assert "ImageChanged" not in conditions(stage)

        cluster.load(relabelled(perdure.image, "two", tmp_path))
        pod_faults.kill_user_process(cluster, stage.until_pod("moved"))
        stage.until_pod("moved", 2)
        warning = eventually(lambda: conditions(stage).get("ImageChanged", {}), 60, every=0.5)
        eventually(lambda: len(images(stage, uid)) == 2, 30, every=0.5)
        first, second = images(stage, uid)
        assert first != second
        assert (warning["status"], warning["reason"]) == ("True", "TagMoved")
        assert first.rpartition("@")[2] in warning["message"]
        assert second.rpartition("@")[2] in warning["message"]

        stage.until_reason("moved", "Running")
        stage.release("moved")
        status = stage.until_finished("moved")
        assert status["result"] == ["before", "held", "after"]
        assert conditions(stage)["ImageChanged"] == warning
        assert "Stalled" not in conditions(stage)
        told = stage.kubectl("describe", "workflow", "moved")
        assert "ImageChanged" in told.partition("Events:")[2]
        assert stage.endings(uid) == ["crashed", "completed"]


def images(stage: Stage, uid: str) -> list[str]:
    """Of the attempts of a run, as far as they are noted, in order."""
    return [attempt["image"] for attempt in stage.installation.store.attempts(uid) if attempt["image"] is not None]


def conditions(stage: Stage) -> dict[str, dict[str, str]]:
    """Of the Workflow, by type."""
    return {one["type"]: one for one in stage.get("moved")["status"]["conditions"]}
