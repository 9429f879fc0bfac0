"""What commands print for people and for programs: text, JSON or YAML."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from ...errors import UsageError
from ...local.durations import duration
from ...store.runs.model import RunDetail, RunInfo
from .error_tree import branches, error_document, error_line, has_branches
from .streams import json_text

__all__ = ["FORMATS", "detail_document", "detail_text", "outcome_document", "print_document", "run_document", "table"]

FORMATS = ("text", "json", "yaml")

_ERRORS: Final = 10
"""Most steps whose errors are shown with all that hangs on them."""


def print_document(document: Any, format: str) -> None:
    """Print one document of plain values."""
    if format == "json":
        print(json_text(document))
        return
    try:
        import yaml
    except ImportError as error:
        raise UsageError("-o yaml needs PyYAML: pip install 'perdure[local]', or take -o json") from error
    yaml.safe_dump(document, sys.stdout, sort_keys=False, allow_unicode=True)


def outcome_document(detail: RunDetail) -> dict[str, Any]:
    """A run's outcome, as `perdure run -o json` prints it."""
    return {
        "id": detail.run.id,
        "run_id": str(detail.run.run_id),
        "state": str(detail.run.state),
        "attempts": detail.run.attempts,
        "result": _value(detail.result),
        "error": error_document(detail.error),
    }


def run_document(run: RunInfo) -> dict[str, Any]:
    """A run as a row of a list."""
    return {
        "id": run.id,
        "run_id": str(run.run_id),
        "queue": run.queue,
        "entrypoint": run.entrypoint,
        "state": str(run.state),
        "attempts": run.attempts,
        "steps": run.steps,
        "cancel_requested": run.cancel,
        "suspended": run.suspend,
        "created": _time(run.created),
        "started": _time(run.started),
        "finished": _time(run.finished),
        "error": None if run.error_type is None else {"type": run.error_type, "message": run.error_message},
    }


def detail_document(detail: RunDetail) -> dict[str, Any]:
    """A run with its values, attempts and steps."""
    return {
        **run_document(detail.run),
        "input": _value(detail.input),
        "result": _value(detail.result),
        "error": error_document(detail.error),
        "attempts": [
            {
                "attempt": attempt.attempt,
                "process": attempt.process,
                "node": attempt.node,
                "begun": _time(attempt.begun),
                "ended": _time(attempt.ended),
                "ending": attempt.ending,
                "code": attempt.code,
                "signal": attempt.signal,
                "detail": attempt.detail,
            }
            for attempt in detail.attempts
        ],
        "steps": [
            {
                "key": step.key,
                "outcome": str(step.outcome),
                "attempt": step.attempt,
                "tries": step.tries,
                "started": _time(step.started),
                "seconds": step.duration.total_seconds(),
                "result": _value(step.result),
                "error": error_document(step.error),
            }
            for step in detail.steps
        ],
    }


def detail_text(detail: RunDetail) -> str:
    """The same for a person."""
    run = detail.run
    facts = [
        ("id", run.id),
        ("run id", str(run.run_id)),
        ("workflow", run.entrypoint),
        ("queue", run.queue or run.owner),
        ("state", str(run.state) + (", to be cancelled" if run.cancel and not run.state.ended else "")),
        ("created", _short(run.created)),
        ("started", _short(run.started)),
        ("finished", _short(run.finished)),
        ("input", _cut(detail.input, 400)),
    ]
    if detail.result is not None:
        facts.append(("result", _cut(detail.result, 400)))
    if detail.error is not None:
        stored = json.loads(detail.error)
        facts.append(("error", f"{stored.get('type')}: {stored.get('message')}"))
        facts += [("", line) for line in branches(detail.error, sys.stdout)]
    lines = [f"{name:9} {value}" for name, value in facts]
    attempts = [
        [
            str(attempt.attempt),
            _short(attempt.begun),
            "" if attempt.begun is None or attempt.ended is None else duration(_seconds(attempt.begun, attempt.ended)),
            attempt.ending or "going on",
            (attempt.process or "").replace("@", " ").split(" ")[0],
            _cut(attempt.detail or "", 80),
        ]
        for attempt in detail.attempts
    ]
    if attempts:
        lines += ["", *table(["attempt", "begun", "time", "ending", "host", ""], attempts)]
    steps = [
        [
            step.key,
            {"result": "done", "error": "failed"}.get(step.outcome, str(step.outcome)),
            duration(step.duration.total_seconds()),
            str(step.tries),
            str(step.attempt),
            _cut(step.result or ("" if step.error is None else error_line(step.error)), 60),
        ]
        for step in detail.steps
    ]
    if steps:
        lines += ["", *table(["step", "state", "time", "tries", "attempt", "outcome"], steps)]
    lines += _errors_of_steps(detail)
    return "\n".join(lines)


def _errors_of_steps(detail: RunDetail) -> list[str]:
    """Details for which the table lacks space: the members and causes of the errors of steps."""
    lines: list[str] = []
    shown = [step for step in detail.steps if step.error is not None and has_branches(step.error)]
    for step in shown[:_ERRORS]:
        assert step.error is not None
        lines += ["", f"{step.key}: {_cut(error_line(step.error), 200)}", *branches(step.error, sys.stdout)]
    if len(shown) > _ERRORS:
        lines += ["", f"and {len(shown) - _ERRORS} more failed steps; -o json has all of them"]
    return lines


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their texts, for people and for `awk`."""
    widths = [max(len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in [heads, *rows]
    ]


def _value(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _short(moment: datetime | None) -> str:
    return "-" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _seconds(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds()


def _cut(text: str, most: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
