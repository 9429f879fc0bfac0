"""`perdure list` and `perdure show`."""

from __future__ import annotations

from argparse import Namespace
from datetime import UTC, datetime

from ...client import Client
from ...local.durations import duration, moment
from ...local.store_target import open_target
from ...store.runs.model import RunInfo
from ..output.documents import detail_document, detail_text, print_document, run_document, table

__all__ = ["list_runs", "show"]


def list_runs(arguments: Namespace) -> int:
    """List runs."""
    since = moment(arguments.since, "--since", datetime.now(UTC)) if arguments.since is not None else None
    with open_target(arguments.database_url) as place, Client(place.url, queue=_or_default(arguments.queue)) as client:
        found = client.list(
            states=arguments.state,
            id_prefix=arguments.id_prefix,
            entrypoint=arguments.workflow,
            created_since=since,
            limit=arguments.limit,
            every_queue=arguments.queue is None,
        )
    if arguments.output != "text":
        print_document([run_document(run) for run in found], arguments.output)
    elif found:
        print("\n".join(table(["id", "workflow", "state", "steps", "attempts", "started", "time", ""], _rows(found))))
    else:
        print("no runs")
    return 0


def _or_default(queue: str | None) -> str:
    return "default" if queue is None else queue


def show(arguments: Namespace) -> int:
    """Show one run."""
    with open_target(arguments.database_url) as place, Client(place.url, queue=arguments.queue) as client:
        detail = client.show(arguments.id)
    if arguments.output == "text":
        print(detail_text(detail))
    else:
        print_document(detail_document(detail), arguments.output)
    return 0


def _rows(runs: list[RunInfo]) -> list[list[str]]:
    now = datetime.now(UTC)
    rows = []
    for run in runs:
        ended = run.finished or now
        error = "" if run.error_type is None else f"{run.error_type.rpartition(':')[2]}: {run.error_message}"
        rows.append(
            [
                run.id,
                run.entrypoint,
                str(run.state),
                str(run.steps),
                str(run.attempts),
                "-" if run.started is None else run.started.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                "-" if run.started is None else duration(max(0.0, (ended - run.started).total_seconds())),
                " ".join(error.split())[:80],
            ]
        )
    return rows
