"""How long campaigns are: `make chaos` makes them many times as long as `make test` does."""

from __future__ import annotations

import os

__all__ = ["SCALE"]

SCALE = int(os.environ.get("PERDURE_TEST_SCALE", "1"))
