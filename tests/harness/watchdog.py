"""A plugin of pytest for runs that nobody watches: a failure is shown when it happens, and a hang ends.

pytest-timeout interrupts a test that takes too long, but stops its clock when a test fails. A fixture that then waits
for ever, or a process in which no Python runs any more, would hold up the run until somebody kills it, and with it
the summary of what failed.
"""

from __future__ import annotations

import faulthandler
import os
from collections.abc import Generator

import pytest

__all__ = ["Watchdog"]

_LAST_LINES = 30
"""Of what is known of a failure, this much is shown at once; the summary has it all."""


class Watchdog:
    """Ends the process of a test that has not ended `grace` seconds after its timeout, or after its failure.

    The stacks of all threads go to the standard error that the process had when it began. Of several processes, another
    one takes the place of the one that ended, and runs the tests that are left.

    Args:
        config: of this process.
        grace: seconds; enough for fixtures of a whole session, which the last test of a process ends.
    """

    def __init__(self, config: pytest.Config, grace: float = 300.0) -> None:
        self._config = config
        self._grace = grace
        # While tests run, the file descriptor is one of pytest's own, which nobody would read.
        self._errors = os.dup(2)
        self._deals_out = bool(config.getoption("numprocesses", None))

    def pytest_unconfigure(self) -> None:
        """Nothing is left to watch."""
        os.close(self._errors)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Watch a test with its fixtures."""
        mark = item.get_closest_marker("timeout")
        timeout = mark.args[0] if mark and mark.args else item.config.getini("timeout")
        self._end_after(float(timeout or 0) + self._grace)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()

    @pytest.hookimpl(trylast=True)
    def pytest_exception_interact(self, node: pytest.Item | pytest.Collector) -> None:
        """Watch what follows a failure: both pytest and pytest-timeout have stopped their clocks by now."""
        if isinstance(node, pytest.Item) and not self._config.getoption("usepdb"):
            self._end_after(self._grace)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Show a failure in a run that several processes share: it may be long until the summary."""
        if not (self._deals_out and report.failed):
            return
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        assert terminal is not None
        terminal.write("\n")
        terminal.section(f"{report.nodeid}: {report.when} failed", sep="-")
        terminal.write_line("\n".join(report.longreprtext.splitlines()[-_LAST_LINES:]))

    def _end_after(self, seconds: float) -> None:
        faulthandler.dump_traceback_later(seconds, file=self._errors, exit=True)
