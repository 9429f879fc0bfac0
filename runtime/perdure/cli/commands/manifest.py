"""`perdure run FILE.yaml`: hands a manifest to what runs it, and prints the end.

What runs it is a part of the operator, which decides here as it does in a cluster. The library knows nothing else of
the operator.
"""

from __future__ import annotations

import importlib
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from ...errors import UsageError
from ...local.interactive import Interrupted, interrupted
from ...process.attempt_process import StopRequests
from ..output.documents import print_document
from ..output.outcome import report

__all__ = ["MANIFESTS", "run_manifest"]

MANIFESTS: Final = (".yaml", ".yml", ".json")
"""How the names of files with manifests end."""

_RUNNER = "perdure_operator.local.command"


def run_manifest(arguments: Namespace) -> int:
    """Run the Workflow that a file holds. Returns the command's exit code.

    Raises:
        UsageError: an option is not for manifests, or this installation lacks the packages for it.
    """
    _check_options(arguments)
    runner = _runner()
    with StopRequests() as stops:
        try:
            outcome = runner.run(Path(arguments.workflow), arguments.database_url, stops)
        except Interrupted:
            return interrupted(stops, _again(arguments))
    if outcome.run is not None:
        return report(outcome.run, arguments.output, outcome.workflow)
    if arguments.output != "text":
        print_document(outcome.workflow, arguments.output)
    sys.stderr.write(f"perdure: {outcome.message}\n")
    return int(outcome.code)


def _runner() -> Any:
    try:
        return importlib.import_module(_RUNNER)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"to run a manifest takes more than is installed ({error.name} is missing): pip install 'perdure[local]'"
        ) from error


def _check_options(arguments: Namespace) -> None:
    given = {
        "--input": arguments.input is not None and "spec.input",
        "--id": arguments.id is not None and "metadata.name",
        "--backoff-limit": arguments.backoff_limit is not None and "spec.backoffLimit",
        "--queue": arguments.queue != "default" and "no queue: it is run by this command alone",
    }
    for option, instead in given.items():
        if instead:
            raise UsageError(f"{option} is not for manifests: {arguments.workflow} says it itself ({instead})")


def _again(arguments: Namespace) -> list[str]:
    words = ["perdure", "run", arguments.workflow]
    if arguments.output != "text":
        words += ["-o", arguments.output]
    return words
