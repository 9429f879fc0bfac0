"""Makes the chart's Grafana dashboard, files/dashboard.json, from its panels; `make chart` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["PANELS", "SELECTOR", "Panel", "dashboard"]

SELECTOR: Final = 'job=~"$job",namespace=~"$namespace"'
"""Selects the metrics of the operators that are chosen above the panels; OPERATOR stands for it in an expression."""

_WIDTH: Final = 24  # Grafana's, in columns
_HEIGHT: Final = 7
_LOW: Final = 4
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel. `shown` has expressions, each with how its series are called; `unit` is one of Grafana's.

    Attributes:
        stat: a number, and no course over time.
        stacked: the series add up.
    """

    title: str
    what: str
    shown: Sequence[tuple[str, str]]
    unit: str = "short"
    width: int = 8
    stat: bool = False
    stacked: bool = False


def _quantiles(histogram: str, by: str = "") -> Sequence[tuple[str, str]]:
    labels = f"le, {by}" if by else "le"
    rate = f"sum by ({labels}) (rate(perdure_operator_{histogram}_bucket{{OPERATOR}}[$__rate_interval]))"
    named = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({part}, {rate})", f"{name}{named}") for part, name in ((0.5, "median"), (0.95, "95 %"))
    ]


def _total(metric: str, by: str, window: str = "$__rate_interval") -> str:
    return f"sum by ({by}) (rate(perdure_operator_{metric}{{OPERATOR}}[{window}]))"


PANELS: Final = (
    Panel("Leads", "One, always.", [("sum(perdure_operator_leading{OPERATOR})", "")], width=3, stat=True),
    Panel("Workflows", "That are known.", [("sum(perdure_operator_workflows{OPERATOR})", "")], width=3, stat=True),
    Panel("Active runs", "Have a place.", [("sum(perdure_operator_active_runs{OPERATOR})", "")], width=3, stat=True),
    Panel("Waiting", "For a place.", [("sum(perdure_operator_waiting_runs{OPERATOR})", "")], width=3, stat=True),
    Panel(
        "Wait for a person",
        "Stalled Workflows, as their conditions say.",
        [("sum(perdure_operator_workflows_stalled{OPERATOR}) or vector(0)", "")],
        width=4,
        stat=True,
    ),
    Panel(
        "Reconciles that fail",
        "Workflows whose last reconcile failed.",
        [("sum(perdure_operator_queue_failing{OPERATOR})", "")],
        width=4,
        stat=True,
    ),
    Panel(
        "Last compared",
        "Since everything was last compared.",
        [("max(perdure_operator_resync_age_seconds{OPERATOR} >= 0)", "")],
        unit="s",
        width=4,
        stat=True,
    ),
    Panel(
        "Runs that go on",
        "In the store, by state.",
        [('sum by (state) (perdure_operator_runs{OPERATOR,state=~"pending|running|waiting"})', "{{state}}")],
        stacked=True,
    ),
    Panel(
        "Runs that go on, by namespace",
        "In the store.",
        [
            (
                'sum by (exported_namespace) (perdure_operator_runs{OPERATOR,state=~"pending|running|waiting"})',
                "{{exported_namespace}}",
            )
        ],
        stacked=True,
    ),
    Panel(
        "Workflows that wait for a person",
        "Stalled, by namespace and reason.",
        [
            (
                "sum by (exported_namespace, reason) (perdure_operator_workflows_stalled{OPERATOR})",
                "{{exported_namespace}} {{reason}}",
            )
        ],
        stacked=True,
    ),
    Panel(
        "Silent attempts",
        "Without a sign of life for a lease; most of them silent: the way to the store is suspected.",
        [
            ("sum(perdure_operator_silent_attempts{OPERATOR})", "silent"),
            ("max(perdure_operator_store_suspected{OPERATOR})", "store suspected"),
        ],
    ),
    Panel(
        "Runs that end",
        "A minute, by state.",
        [(f"60 * {_total('runs_ended_total', 'state')}", "{{state}}")],
        stacked=True,
    ),
    Panel(
        "Attempts that end",
        "A minute, by how they ended.",
        [(f"60 * {_total('attempts_ended_total', 'ending')}", "{{ending}}")],
        stacked=True,
    ),
    Panel(
        "Places held",
        "Of maxActiveRuns, by namespace.",
        [("sum by (exported_namespace) (perdure_operator_places_held{OPERATOR})", "{{exported_namespace}}")],
        stacked=True,
    ),
    Panel(
        "Runs that wait for a place",
        "By namespace.",
        [("sum by (exported_namespace) (perdure_operator_places_queued{OPERATOR})", "{{exported_namespace}}")],
        stacked=True,
    ),
    Panel(
        "Places given back",
        "A minute, by what kept an attempt from starting.",
        [(f"60 * {_total('places_given_back_total', 'reason')}", "{{reason}}")],
        stacked=True,
    ),
    Panel("Claim to begin", "Of an attempt's process.", _quantiles("claim_to_begin_seconds"), unit="s"),
    Panel("Claim to first step", "Of an attempt.", _quantiles("claim_to_first_step_seconds"), unit="s"),
    Panel(
        "Work queue",
        "Workflows whose turn it is, and that come again later.",
        [
            ("sum(perdure_operator_queue_depth{OPERATOR})", "due"),
            ("sum(perdure_operator_queue_planned{OPERATOR})", "later"),
        ],
    ),
    Panel("Wait in the queue", "From its turn to its begin.", _quantiles("queue_wait_seconds"), unit="s"),
    Panel("Reconciles", "How long they take.", _quantiles("reconcile_seconds"), unit="s"),
    Panel(
        "Reconciles, by outcome",
        "A second; `done`, or the error.",
        [(_total("reconciles_total", "outcome"), "{{outcome}}")],
        unit="ops",
    ),
    Panel(
        "Requests to Kubernetes",
        "A second, by verb and code.",
        [(_total("api_requests_total", "verb, code"), "{{verb}} {{code}}")],
        unit="ops",
        width=12,
    ),
    Panel(
        "Answers of Kubernetes", "How long they take.", _quantiles("api_request_seconds", "verb"), unit="s", width=12
    ),
    Panel(
        "Memory",
        "Of each operator.",
        [("process_resident_memory_bytes{OPERATOR}", "{{pod}}")],
        unit="bytes",
    ),
    Panel(
        "Processor",
        "Cores, of each operator.",
        [("rate(process_cpu_seconds_total{OPERATOR}[$__rate_interval])", "{{pod}}")],
    ),
    Panel(
        "Queue of notifications",
        "How much of Postgres's is taken. From a half on nothing is notified any more.",
        [("max(perdure_operator_notify_queue_usage{OPERATOR})", "")],
        unit="percentunit",
    ),
)
"""From left to right and from top to bottom."""


def dashboard() -> str:
    """The file's text."""
    made = {
        "title": "Perdure",
        "uid": "perdure-operator",
        "tags": ["perdure"],
        "schemaVersion": 39,
        "editable": True,
        "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "1m",
        "templating": {"list": list(_variables())},
        "panels": list(_placed()),
    }
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
    for name, label in (("namespace", "Namespace of the operator"), ("job", "Operator")):
        within = ',namespace=~"$namespace"' if name == "job" else ""
        query = f'label_values(perdure_operator_leading{{job!=""{within}}}, {name})'
        yield {
            "name": name,
            "label": label,
            "type": "query",
            "datasource": _SOURCE,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            "current": {"text": ["All"], "value": ["$__all"]},
        }


def _placed() -> Iterator[dict[str, Any]]:
    """The panels where they fit, in rows."""
    x = y = tallest = 0
    for number, panel in enumerate(PANELS, start=1):
        height = _LOW if panel.stat else _HEIGHT
        if x + panel.width > _WIDTH:
            x, y, tallest = 0, y + tallest, 0
        yield _panel(number, panel, {"x": x, "y": y, "w": panel.width, "h": height})
        x, tallest = x + panel.width, max(tallest, height)


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    drawn = {"lineWidth": 1, "fillOpacity": 20 if panel.stacked else 0, "showPoints": "never"}
    stacking = {"stacking": {"mode": "normal" if panel.stacked else "none"}}
    options: dict[str, Any] = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}}
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.what,
        "gridPos": place,
        "datasource": _SOURCE,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "custom": {} if panel.stat else {**drawn, **stacking}},
            "overrides": [],
        },
        "options": {"reduceOptions": {"calcs": ["lastNotNull"]}} if panel.stat else options,
        "targets": [
            {
                "refId": chr(ord("A") + place_of),
                "datasource": _SOURCE,
                "expr": expression.replace("OPERATOR", SELECTOR),
                "legendFormat": legend or "__auto",
                "instant": panel.stat,
                "range": not panel.stat,
            }
            for place_of, (expression, legend) in enumerate(panel.shown)
        ],
    }
