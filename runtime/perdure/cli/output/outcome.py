"""How a command reports the end of a run: its result or error, and its own exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from ...process.exit_codes import ExitCode
from ...store.runs.model import RunDetail, RunState
from .documents import outcome_document, print_document
from .error_tree import branches, error_line, first_traceback
from .streams import json_text

__all__ = ["report"]


def report(detail: RunDetail, format: str, document: Mapping[str, Any] | None = None) -> int:
    """Print how a run has ended, as text or as a document. Returns the command's exit code."""
    if format != "text":
        print_document(outcome_document(detail) if document is None else document, format)
    match detail.run.state:
        case RunState.SUCCEEDED:
            if format == "text":
                print(json_text(json.loads(detail.result or "null")))
            return ExitCode.SUCCEEDED
        case RunState.CANCELLED:
            sys.stderr.write(f"perdure: run {detail.run.id} was cancelled\n")
            if detail.error is not None:
                sys.stderr.write(f"perdure: its cleanup ended with {error_line(detail.error)}\n")
            return ExitCode.CANCELLED
        case _:
            if detail.error is not None:
                trace = first_traceback(detail.error).rstrip()
                said = [f"perdure: run {detail.run.id} failed: {error_line(detail.error)}"]
                said += [f"  {line}" for line in branches(detail.error, sys.stderr)]
                sys.stderr.write("\n".join([*([trace] if trace else []), *said]) + "\n")
            return ExitCode.FAILED
