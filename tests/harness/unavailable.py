"""What a test does when this machine lacks something it needs."""

from __future__ import annotations

import os
from typing import NoReturn


def unavailable(what: str) -> NoReturn:
    """Skip the test, saying why; where CI=true everything has to be there, so fail it."""
    # Not above: benchmarks use the harness where there is no pytest.
    import pytest

    if os.environ.get("CI", "").lower() == "true":
        pytest.fail(f"not available, although CI=true: {what}")
    pytest.skip(f"not available: {what}")
