"""What every test gets: a timeout, warnings that are errors (both in pyproject.toml), and the mark `needs`."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from tests.cluster.environment import KIND
from tests.harness.unavailable import untested
from tests.harness.watchdog import Watchdog

# How long an example takes says something about the machine, nothing about the code.
settings.register_profile("perdure", deadline=None)
settings.load_profile("perdure")

# Started in the background, this process may have been told to ignore Ctrl-C, and by nohup the terminal's end. What the
# tests start must not be; it does not inherit handlers.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

# Where Debian keeps servers, which is not on everybody's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"])


class _TwoProcesses(LoadScopeScheduling):
    """Tests on the cluster stay in one process, which wait more than they work; others go by folder to whoever is free.

    So no cluster is started twice, and servers that the tests of a folder share hardly ever. Where nothing but clusters
    is tested, on kind, those that have one to themselves are in the other process.
    """

    _OWN = ("tests/cluster/chart", "tests/cluster/kind", "tests/cluster/security")

    def _split_scope(self, nodeid: str) -> str:
        folder = "/".join(nodeid.partition("::")[0].split("/")[:-1])
        if KIND in os.environ and folder.startswith(self._OWN):
            return "own clusters"
        return "cluster" if folder.startswith("tests/cluster") else "/".join(folder.split("/")[:3])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _TwoProcesses:
    """Deals out the tests where they run in several processes."""
    return _TwoProcesses(config, log)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Watchdog(config), "perdure watchdog")


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for program in mark.args:
            if shutil.which(program, path=_PATH) or (program[0] == "/" and any(Path("/").glob(program[1:]))):
                continue
            untested(f"needs {program}, which is not on this machine (`make system` installs it on Debian)")
