"""The command line, as its own tests have it: a run on this machine is what `perdure run` does."""

from __future__ import annotations

from tests.integration.cli.conftest import cli

__all__ = ["cli"]
