"""`perdure run`: start a run, or go on with it, and see it to its end on this machine."""

from __future__ import annotations

import contextlib
import json
import sys
from argparse import Namespace
from pathlib import Path
from typing import Any
from uuid import uuid4

from ... import log_fields
from ...entrypoints import load, locate
from ...errors import UsageError
from ...local.interactive import Interrupted, interrupted, show_ending, shown
from ...local.run_locally import LocalRun
from ...local.store_target import open_target
from ...origin import origin_of
from ...process.attempt_process import StopRequests
from ...start import Start
from ...store.runs.runs import RunStore
from ..output.outcome import report
from .manifest import MANIFESTS, run_manifest

__all__ = ["run"]


def run(arguments: Namespace) -> int:
    """Run a workflow. Returns the command's exit code."""
    if arguments.workflow.endswith(MANIFESTS):
        return run_manifest(arguments)
    given = read_input(arguments.input)
    log_fields.install()
    # What user code prints as it is imported is no result.
    with contextlib.redirect_stdout(sys.stderr):
        definition = load(arguments.workflow)
    place = arguments.workflow.rpartition(":")[0]
    folder = locate(place).folder
    identifier = arguments.id
    if identifier is None:
        identifier = f"{definition.entrypoint.partition(':')[2]}-{uuid4().hex[:8]}"
    with StopRequests() as stops, open_target(arguments.database_url) as store:
        start = Start.of(
            definition.entrypoint,
            queue=arguments.queue,
            id=identifier,
            input=given,
            backoff_limit=_or(arguments.backoff_limit, 6),
            origin=origin_of(definition) if store.embedded else None,
        )
        with RunStore(store.url) as runs:
            run = start.begin(runs)
        try:
            with shown(f"{definition.entrypoint}  {identifier}") as display:
                detail = LocalRun(run, store, folder, display, stops).finish()
        except Interrupted:
            return interrupted(stops, _again(arguments, identifier))
        show_ending(display, detail)
    return report(detail, arguments.output)


def read_input(text: str | None) -> dict[str, Any]:
    """The input that `--input` gives: JSON, `@FILE`, or `@-` for standard input.

    Raises:
        UsageError: it cannot be read, or is no JSON object.
    """
    if text is None:
        return {}
    source = "--input"
    if text.startswith("@"):
        source = "standard input" if text == "@-" else text[1:]
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            raise UsageError(f"--input: {source} cannot be read: {reason}") from error
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = (
            "" if source != "--input" else """; an object of arguments is written '{"name": "value"}', a file @FILE"""
        )
        raise UsageError(f"{source} holds no JSON: {error}{hint}") from error
    if not isinstance(document, dict):
        raise UsageError(
            f"{source} holds a {type(document).__name__}; input is a JSON object with arguments as its keys"
        )
    return document


def _or(value: int | None, default: int) -> int:
    return default if value is None else value


def _again(arguments: Namespace, identifier: str) -> list[str]:
    named = [f"--id={identifier}"] if identifier.startswith("-") else ["--id", identifier]
    words = ["perdure", "run", arguments.workflow, *named]
    if arguments.input is not None:
        words += ["--input", arguments.input]
    if arguments.queue != "default":
        words += ["--queue", arguments.queue]
    if arguments.database_url is not None:
        words += ["--database-url", arguments.database_url]
    return words
