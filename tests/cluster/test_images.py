from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.cluster.built.prerequisites import Lacking
from tests.cluster.images import Image, build, python_image
from tests.harness.unavailable import untested

pytestmark = pytest.mark.timeout(600)

DOCKERFILE = """
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
ARG TEXT
RUN python3 -m venv --without-pip /venv && echo "$TEXT" >/venv/text
FROM ${BASE}
COPY --from=build /venv /venv
COPY app /app
USER 10001
CMD ["/venv/bin/python", "/app/main.py"]
"""


def read(archive, name):
    with archive.extractfile(name) as file:
        return file.read()


def config_of(image):
    """The configuration of an image, as its archive holds it; it must bear one name, its own."""
    with tarfile.open(image.archive) as archive:
        (manifest,) = json.loads(read(archive, "manifest.json"))
        assert manifest["RepoTags"] == [image.name]
        return json.loads(read(archive, manifest["Config"]))["config"]


def names_in(image):
    """The files of an image, layer upon layer."""
    with tarfile.open(image.archive) as archive:
        (manifest,) = json.loads(read(archive, "manifest.json"))
        names: set[str] = set()
        for layer in manifest["Layers"]:
            with tarfile.open(fileobj=archive.extractfile(layer)) as files:
                names.update(name.removeprefix("./") for name in files.getnames())
        return names


def footprint():
    """What builders keep outside the cache, and what is mounted."""
    storage = Path("/var/lib/containers")
    return storage.exists() and sorted(storage.rglob("*")), Path("/proc/self/mounts").read_text()


@pytest.fixture(scope="module")
def base() -> Image:
    try:
        return python_image(print)
    except Lacking as lacking:
        untested(str(lacking))


@pytest.fixture
def context(tmp_path):
    folder = tmp_path / "context"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "main.py").write_text("print('hello')\n")
    (folder / "app" / "ignored").write_text("")
    (folder / "elsewhere").write_text("")
    (folder / ".gitignore").write_text("ignored\n")
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    return folder


@pytest.fixture
def dockerfile(tmp_path):
    path = tmp_path / "Dockerfile"
    path.write_text(DOCKERFILE)
    return path


def test_the_image_for_pods_sleeps_and_has_python(base):
    assert config_of(base)["Cmd"] == ["sleep", "infinity"]
    names = names_in(base)
    assert names & {"usr/bin/python3", "usr/local/bin/python3"}
    assert names & {"bin/sleep", "usr/bin/sleep"}
    assert "etc/ssl/certs/ca-certificates.crt" in names


def test_an_image_is_built_upon_it_kept_and_nothing_is_left(base, context, dockerfile, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = footprint()

    def product(text):
        said: list[str] = []
        made = build(
            dockerfile, context, "product", base=base, say=said.append, files=["app"], build_args={"TEXT": text}
        )
        return made, said

    image, said = product("one")
    assert said[0] == f"Building the image {image.name}"
    config = config_of(image)
    assert (config["User"], config["Cmd"]) == ("10001", ["/venv/bin/python", "/app/main.py"])
    names = names_in(image)
    assert {"app/main.py", "venv/text"} <= names
    assert not names & {"app/ignored", "elsewhere"}
    assert footprint() == before
    assert [path.name for path in image.archive.parent.iterdir() if path.name != "SHA256SUMS"] == ["product.tar"]

    assert product("one") == (image, [])
    (context / "app" / "main.py").write_text("print('goodbye')\n")
    changed, _ = product("one")
    assert changed.name != image.name
