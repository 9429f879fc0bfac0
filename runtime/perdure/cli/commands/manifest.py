"""`perdure run FILE.yaml`: hands a manifest to what runs it.

That is a part of the operator, which decides here as it does in a cluster, and of which the library knows nothing else.
"""

from __future__ import annotations

import importlib
from argparse import Namespace
from typing import Final

from ...errors import UsageError

__all__ = ["MANIFESTS", "run_manifest"]

MANIFESTS: Final = (".yaml", ".yml", ".json")
"""How the names of files with manifests end."""

_RUNNER = "perdure_operator.local.command"


def run_manifest(arguments: Namespace) -> int:
    """Run the Workflow that a file holds. Returns the command's exit code.

    Raises:
        UsageError: this installation lacks the packages for it.
    """
    try:
        runner = importlib.import_module(_RUNNER)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"to run a manifest takes more than is installed ({error.name} is missing): pip install 'perdure[local]'"
        ) from error
    code: int = runner.run(arguments)
    return code
