"""What every test gets: a timeout, warnings that are errors (both in pyproject.toml), and the mark `needs`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("perdure", deadline=None)
settings.load_profile("perdure")

_CLUSTER = Path(__file__).parent / "cluster"

# Where Debian keeps servers, which is not on everybody's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run in two processes, those on the cluster have one to themselves: they wait more than they work."""
    # First, for xdist reads the marks in this hook, too.
    for item in items:
        on_cluster = item.path.is_relative_to(_CLUSTER)
        item.add_marker(pytest.mark.xdist_group("cluster" if on_cluster else "machine"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program, path=_PATH) or (program[0] == "/" and any(Path("/").glob(program[1:]))):
                continue
            message = f"needs {program}, which is not on this machine (`make system` installs it on Debian)"
            if os.environ.get("CI") == "true":
                pytest.fail(message)
            pytest.skip(message)
