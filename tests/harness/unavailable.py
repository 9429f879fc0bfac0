"""What a test does when this machine lacks something it needs."""

from __future__ import annotations

import os
from typing import NoReturn

__all__ = ["unavailable", "untested"]


def unavailable(what: str) -> NoReturn:
    """End the test as `untested` does, since `what` it needs is not there."""
    untested(f"not available: {what}")


def untested(why: str) -> NoReturn:
    """Skip the test, saying why; where CI=true everything has to be there, so fail it."""
    # Not above: benchmarks use the harness where there is no pytest.
    import pytest

    if os.environ.get("CI", "").lower() == "true":
        message = f"{why}\nWith CI=true nothing may be skipped for what a machine lacks."
        raise pytest.fail.Exception(message, pytrace=False) from None  # it says all
    pytest.skip(why)
