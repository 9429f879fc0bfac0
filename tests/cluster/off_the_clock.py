"""Stops the clock of a test: what takes minutes to build are not minutes of the first test that uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

__all__ = ["off_the_clock"]


@contextmanager
def off_the_clock(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let the block last as long as it takes; after it the test has its whole time."""
    item = request._pyfuncitem
    item.ihook.pytest_timeout_cancel_timer(item=item)
    try:
        yield
    finally:
        settings = item.config.pluginmanager.getplugin("timeout")._get_item_settings(item)
        if settings.timeout:
            item.ihook.pytest_timeout_set_timer(item=item, settings=settings)
