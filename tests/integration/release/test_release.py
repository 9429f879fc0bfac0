"""A release in a registry of this machine: signed, with lists of what is in it, and a chart that names it by digest.

Only where its programs are, which take long to build: make test-release.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.product.image import perdure_images
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.workspace import Workspace

TOOLS = os.environ.get("PERDURE_TEST_RELEASE", "")
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not TOOLS, reason="only where the programs of a release are: make test-release"),
]

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = ROOT / ".ci" / "release.py"
BASE = f"python:3.13-slim-bookworm@sha256:{'5' * 64}"


@dataclass(frozen=True, slots=True)
class Released:
    """What was published, by name, and where its programs work."""

    folder: Path
    references: dict[str, str]

    def run(self, *command: str) -> str:
        return run(self.folder, *command)

    def verify(self, name: str, *kind: str, key: str = "cosign.pub") -> str:
        """Have cosign verify a signature, or an attestation of a kind; what it tells."""
        what = ["verify-attestation", f"--type={kind[0]}"] if kind else ["verify"]
        by_key = [f"--key={key}", "--insecure-ignore-tlog=true", "--allow-http-registry"]
        return self.run("cosign", *what, *by_key, self.references[name])

    def attested(self, name: str, kind: str) -> Any:
        """What was attested of it."""
        last = self.verify(name, kind).strip().splitlines()[-1]
        return json.loads(base64.b64decode(json.loads(last)["payload"]))["predicate"]


def run(folder: Path, *command: str) -> str:
    environment = {**os.environ, "PATH": f"{TOOLS}:{os.environ['PATH']}", "COSIGN_PASSWORD": ""}
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


@pytest.fixture(scope="module")
def registry(workspace: Workspace) -> Iterator[str]:
    """An empty registry that speaks HTTP."""
    children = Children(workspace)
    child = children.start([f"{TOOLS}/crane", "registry", "serve", "--address=localhost:0"])
    ports = eventually(lambda: re.findall(r"serving on port (\d+)", child.errors), deadline=30)
    yield f"localhost:{ports[0]}/team"
    children.close()


@pytest.fixture(scope="module")
def released(registry: str, tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("release")
    images = perdure_images(print)
    (folder / "perdure.tar").symlink_to(images.operator.archive)
    (folder / "perdure-runtime.tar").symlink_to(images.runtime.archive)
    run(folder, "cosign", "generate-key-pair")
    asked = ("publish", ".", f"--base={BASE}", f"--to={registry}", "--key=cosign.key")
    told = run(folder, sys.executable, str(SCRIPT), *asked)
    return Released(folder, dict(line.split(" ", 1) for line in told.splitlines()))


def test_images_and_chart_are_signed_by_the_key(released: Released) -> None:
    assert set(released.references) == {"perdure", "perdure-runtime", "chart"}
    run(released.folder, "cosign", "generate-key-pair", "--output-key-prefix=other")
    for name, reference in released.references.items():
        assert re.fullmatch(r"localhost:\d+/team/[\w/-]+@sha256:[0-9a-f]{64}", reference)
        assert reference.partition("@")[2] in released.verify(name)
        with pytest.raises(RuntimeError):
            released.verify(name, key="other.pub")


def test_each_image_tells_what_is_in_it(released: Released) -> None:
    def packages(name: str, kind: str) -> set[str]:
        listed = released.attested(name, "spdxjson")["packages"]
        urls = [each["referenceLocator"] for one in listed for each in one.get("externalRefs", [])]
        return {found[1] for url in urls if (found := re.match(rf"pkg:{kind}/(?:[\w.-]+/)?([\w.-]+)@", url))}

    def locked(lock: str) -> set[str]:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text()
        return set(re.findall(r"(?m)^([\w.-]+)==(?!.*sys_platform == 'win32')", text))

    assert packages("perdure-runtime", "pypi") == {"perdure", *locked("runtime")}
    assert packages("perdure", "pypi") >= {"perdure", *locked("image")}
    for name in ("perdure", "perdure-runtime"):
        assert {"libc6", "openssl"} <= packages(name, "deb")


def test_everything_tells_what_it_was_made_of(released: Released) -> None:
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    for name in released.references:
        made = released.attested(name, "slsaprovenance1")["buildDefinition"]
        source, base = made["resolvedDependencies"]
        assert source["digest"] == {"gitCommit": commit}
        assert base["digest"] == {"sha256": "5" * 64}


def test_the_chart_is_an_oci_package_that_names_the_images_by_digest(released: Released) -> None:
    repository = released.references["chart"].partition("@")[0]
    pulled = ("--version=0.1.0", "--plain-http", "--untar", "--untardir=pulled")
    released.run("helm", "pull", f"oci://{repository}", *pulled)
    values = yaml.safe_load((released.folder / "pulled" / "perdure" / "values.yaml").read_text())
    for image, name in ((values["image"], "perdure"), (values["workflows"]["image"], "perdure-runtime")):
        assert f"{image['repository']}@{image['digest']}" == released.references[name]
    rendered = released.run("helm", "template", "perdure", "pulled/perdure")
    named = set(re.findall(r"localhost:\d+/team/perdure[\w-]*@sha256:[0-9a-f]{64}", rendered))
    assert named == {released.references["perdure"], released.references["perdure-runtime"]}
