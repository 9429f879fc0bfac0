"""Publishes a release: both images and the chart, each signed, with a list of what is in it and of what it was made.

    .ci/release.py build FOLDER --base python:3.13-slim-bookworm@sha256:...   the images, as archives in FOLDER
    .ci/release.py publish FOLDER --base ... --to registry.example/team       from there to a registry

With --key the signatures are by that key of cosign's and stand in no public log. Without, they are keyless: by the
identity of the CI that runs this, in Sigstore's log. `make release-tools` builds crane, syft, cosign and helm for this.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
CHART: Final = ROOT / "charts" / "perdure"
IMAGES: Final = {"perdure": "", "perdure-runtime": "runtime"}
"""Images, and the stages of the Dockerfile that they are of; the last one where it is none."""

_USAGE: Final = 64
_BY_DIGEST: Final = re.compile(r"[^@\s]+@sha256:[0-9a-f]{64}")
_BUILD_TYPE: Final = "https://perdure.io/release/v1"


class Refused(Exception):
    """It is not released like this; the message says why."""


@dataclass(frozen=True, slots=True)
class Release:
    """What is released where, and how it is signed."""

    folder: Path
    base: str
    registry: str
    key: str | None

    @property
    def local(self) -> bool:
        """Whether the registry is one of this machine, to try things out: it speaks HTTP."""
        return self.registry.startswith(("localhost:", "127.0.0.1:"))

    @property
    def version(self) -> str:
        """That of the chart, which the images have, too."""
        found = re.search(r"(?m)^version: (\S+)$", (CHART / "Chart.yaml").read_text())
        assert found is not None
        return found[1]

    def publish(self) -> dict[str, str]:
        """Push, sign and attest everything; the references by digest, by name."""
        digests = {name: self._image(name) for name in IMAGES}
        return {**digests, "chart": self._chart(digests)}

    def _image(self, name: str) -> str:
        archive, tag = self.folder / f"{name}.tar", f"{self.registry}/{name}:{self.version}"
        sbom = self.folder / f"{name}.spdx.json"
        _run(
            "syft",
            "scan",
            f"docker-archive:{archive}",
            f"--source-name={name}",
            f"--output=spdx-json={sbom}",
            "--quiet",
        )
        # crane prints the reference by digest.
        reference = _run("crane", "push", *self._insecure("--insecure"), str(archive), tag).split()[-1]
        self._sign(reference)
        self._attest(reference, "spdxjson", sbom)
        self._attest(reference, "slsaprovenance1", self._provenance(name))
        return reference

    def _chart(self, images: dict[str, str]) -> str:
        with TemporaryDirectory() as folder:
            chart = Path(folder) / "perdure"
            shutil.copytree(CHART, chart)
            (chart / "values.yaml").write_text(naming(images, (chart / "values.yaml").read_text()))
            _run("helm", "package", str(chart), f"--destination={self.folder}")
        package = self.folder / f"perdure-{self.version}.tgz"
        where = f"oci://{self.registry}/charts"
        told = _run("helm", "push", str(package), where, *self._insecure("--plain-http"), both=True)
        digest = re.search(r"Digest: (sha256:[0-9a-f]{64})", told)
        if digest is None:
            raise Refused(f"helm push did not say what it pushed: {told}")
        reference = f"{self.registry}/charts/perdure@{digest[1]}"
        self._sign(reference)
        self._attest(reference, "slsaprovenance1", self._provenance("chart"))
        return reference

    def _provenance(self, name: str) -> Path:
        """The file with what it was made of, as SLSA has it."""
        commit = _run("git", "-C", str(ROOT), "rev-parse", "HEAD").strip()
        base, _, digest = self.base.partition("@sha256:")
        body: dict[str, Any] = {
            "buildDefinition": {
                "buildType": _BUILD_TYPE,
                "externalParameters": {"name": name, "version": self.version, "base": self.base},
                "resolvedDependencies": [
                    {"uri": "git+https://github.com/perdure/perdure", "digest": {"gitCommit": commit}},
                    {"uri": f"docker://{base}", "digest": {"sha256": digest}},
                ],
            },
            "runDetails": {
                "builder": {"id": f"{_BUILD_TYPE}/make-release"},
                "metadata": {"finishedOn": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")},
            },
        }
        file = self.folder / f"{name}.provenance.json"
        file.write_text(json.dumps(body, indent=2))
        return file

    def _sign(self, reference: str) -> None:
        _run("cosign", "sign", "--yes", *self._signer(), reference)

    def _attest(self, reference: str, kind: str, predicate: Path) -> None:
        _run("cosign", "attest", "--yes", *self._signer(), f"--type={kind}", f"--predicate={predicate}", reference)

    def _signer(self) -> list[str]:
        by_key = ["--use-signing-config=false", "--tlog-upload=false"]
        return [*([f"--key={self.key}", *by_key] if self.key else []), *self._insecure("--allow-http-registry")]

    def _insecure(self, flag: str) -> list[str]:
        return [flag] if self.local else []


def naming(images: dict[str, str], values: str) -> str:
    """The chart's values, with the released images in place of those that one builds oneself.

    Raises:
        Refused: the values are not as they were.
    """
    for name, key in (("perdure", "image"), ("perdure-runtime", "  image")):
        repository, _, digest = images[name].partition("@")
        indent = key.replace("image", "  ")
        pattern = rf'(?m)^({key}:\n(?:{indent}.*\n)*?{indent}repository: )\S+(\n(?:{indent}.*\n)*?{indent}digest: )""$'
        values, found = re.subn(pattern, rf'\g<1>{repository}\g<2>"{digest}"', values, count=1)
        if not found:
            raise Refused(f"values.yaml has no {key.strip()} with repository and digest")
    return values


def build(folder: Path, base: str) -> None:
    """Build the images with Docker, as archives."""
    for name, stage in IMAGES.items():
        target = [f"--target={stage}"] if stage else []
        _run("docker", "build", f"--build-arg=BASE={base}", *target, f"--tag={name}:release", str(ROOT))
        _run("docker", "save", f"--output={folder / name}.tar", f"{name}:release")


def _run(*command: str, both: bool = False) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{' '.join(command[:2])} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout + done.stderr if both else done.stdout


def main(arguments: Sequence[str]) -> int:
    """Do one part of it; its exit code."""
    parser = argparse.ArgumentParser(prog="release.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("part", choices=["build", "publish"])
    parser.add_argument("folder", type=Path, help="where the archives of the images are")
    parser.add_argument("--base", required=True, help="the image that they are built upon, by its digest")
    parser.add_argument("--to", default="", help="the registry, with the path in it that is yours")
    parser.add_argument("--key", help="cosign's private key; without, signatures are keyless")
    told = parser.parse_args(arguments)
    try:
        if not _BY_DIGEST.fullmatch(told.base):
            raise Refused(f"--base: {told.base} is no image by its digest (NAME:TAG@sha256:...): a tag may be moved")
        if told.part == "publish" and not told.to:
            raise Refused("--to: name the registry")
        told.folder.mkdir(parents=True, exist_ok=True)
        if told.part == "build":
            build(told.folder, told.base)
            return 0
        release = Release(told.folder, told.base, told.to.rstrip("/"), told.key)
        for name, reference in release.publish().items():
            sys.stdout.write(f"{name} {reference}\n")
    except Refused as refused:
        sys.stderr.write(f"release: {refused}\n")
        return _USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
