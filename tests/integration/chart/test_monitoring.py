"""Prometheus takes the alerts and the queries of the dashboard, and each alert fires when it should and not before."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure_operator.main import Operator
from perdure_operator.settings import Settings
from tests.cluster.built.binaries import PROMTOOL
from tests.cluster.helm import CHART, Helm, tool

Json = dict[str, Any]
OF_OPERATOR = 'job="perdure-operator",namespace="here"'
ELSEWHERE = 'job="perdure-operator",namespace="there"'
EVERYTHING = {"metrics": {"prometheusRule": {"enabled": True}, "dashboard": {"enabled": True}}}

# What each alert is about: series by metric and labels, with a value for each minute, and a minute when it fires.
FIRING: Mapping[str, tuple[Mapping[str, str], int]] = {
    "PerdureNobodyLeads": ({"leading": "0x90"}, 2),
    "PerdureOperatorAbsent": ({}, 2),
    "PerdureReconcilesFail": ({"queue_failing": "2x90"}, 10),
    "PerdureComparisonsFail": ({"resync_age_seconds": "1801+60x90"}, 5),
    "PerdureStoreSuspected": ({"store_suspected": "1x90"}, 5),
    "PerdureNotificationsPileUp": ({"notify_queue_usage": "0.3x90"}, 10),
    "PerdureKubernetesRefuses": ({'api_requests_total{verb="get",resource="pods",code="403"}': "0+90x90"}, 16),
    "PerdureNamespaceUnreadable": ({'namespace_unreadable{exported_namespace="gone"}': "1x90"}, 10),
    "PerdureWorkflowsStalled": ({'workflows_stalled{exported_namespace="team-a",reason="PodRefused"}': "3x90"}, 15),
    "PerdureRunsWait": ({"waiting_runs": "1x90"}, 30),
    "PerdureAttemptsCrash": ({'attempts_ended_total{ending="crashed"}': "0+12x90"}, 31),
    "PerdureAttemptsBeginLate": (
        {
            'claim_to_begin_seconds_bucket{le="60"}': "0+1x90",
            'claim_to_begin_seconds_bucket{le="120"}': "0+9x90",
            'claim_to_begin_seconds_bucket{le="+Inf"}': "0+9x90",
        },
        31,
    ),
    "PerdureRunsFail": ({'runs_ended_total{state="failed"}': "0x5 1x80"}, 7),
}
# What they look like where all is well.
WELL = {
    "leading": "1x90",
    "queue_failing": "0x90",
    "resync_age_seconds": "300x90",
    'api_requests_total{verb="get",resource="pods",code="404"}': "0+6x90",
    'api_requests_total{verb="get",resource="pods",code="200"}': "0+600x90",
    "store_suspected": "0x90",
    "notify_queue_usage": "0.01x90",
    "waiting_runs": "0x90",
    'attempts_ended_total{ending="crashed"}': "0+1x90",
    'claim_to_begin_seconds_bucket{le="60"}': "0+9x90",
    'claim_to_begin_seconds_bucket{le="+Inf"}': "0+9x90",
    'runs_ended_total{state="failed"}': "4x90",
    'runs_ended_total{state="succeeded"}': "0+9x90",
}


@pytest.fixture(scope="module")
def promtool() -> Path:
    return tool(PROMTOOL, print)


@pytest.fixture(scope="module")
def rules(helm: Helm) -> list[Json]:
    """The release's alerts."""
    (made,) = [one for one in helm.objects(EVERYTHING) if one["kind"] == "PrometheusRule"]
    (group,) = made["spec"]["groups"]
    alerts: list[Json] = group["rules"]
    return alerts


@pytest.fixture(scope="module")
def board(helm: Helm) -> Json:
    """The dashboard, as Grafana's sidecar gets it."""
    (made,) = [
        one
        for one in helm.objects(EVERYTHING)
        if one["kind"] == "ConfigMap" and "grafana_dashboard" in one["metadata"]["labels"]
    ]
    read: Json = json.loads(made["data"]["perdure.json"])
    return read


def run(promtool: Path, *arguments: str | Path) -> str:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def series(values: Mapping[str, str], of: str) -> list[Json]:
    """Series as promtool takes them: metric, with labels, and values."""
    made = []
    for what, course in values.items():
        name, _, labels = what.partition("{")
        own = f",{labels.removesuffix('}')}" if labels else ""
        made.append({"series": f"perdure_operator_{name}{{{of}{own}}}", "values": course})
    return made


def named(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:perdure_operator|process)_\w+", expression))


def offered() -> set[str]:
    """The names of all that an operator tells."""
    settings = Settings.parse(["--pod-database-secret=pods"], {"PERDURE_DATABASE_URL": "postgresql://nowhere"})
    operator = Operator(settings)
    operator._offer_metrics()
    text = operator._metrics.text().decode()
    kinds = dict(re.findall(r"(?m)^# TYPE (\w+) (\w+)", text))
    return set(kinds) | {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"}


def test_prometheus_takes_the_alerts_and_finds_nothing_odd(promtool: Path, rules: list[Json], tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "perdure", "rules": rules}]}))
    assert f"SUCCESS: {len(rules)} rules found" in run(promtool, "check", "rules", "--lint=all", "--lint-fatal", file)


def test_every_alert_fires_alone_after_its_time_and_where_all_is_well_none_does(
    promtool: Path, rules: list[Json], tmp_path: Path
) -> None:
    assert set(FIRING) == {one["alert"] for one in rules}
    lasting = {one["alert"]: int(one.get("for", "6m").removesuffix("m")) for one in rules}
    (tmp_path / "rules.json").write_text(json.dumps({"groups": [{"name": "perdure", "rules": rules}]}))

    def firing(minutes: int, *names: str) -> Json:
        alerts = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
        return {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": f"{minutes}m",
            "exp_samples": alerts,
        }

    def trouble(name: str) -> Json:
        values, minutes = FIRING[name]
        around = {} if name == "PerdureOperatorAbsent" else WELL
        return {
            "interval": "1m",
            "input_series": [*series({**around, **values}, OF_OPERATOR), *series(WELL, ELSEWHERE)],
            "promql_expr_test": [firing(lasting[name] - 1), firing(minutes, name)],
        }

    theirs: dict[str, str] = {}
    for values, _ in FIRING.values():
        theirs |= values
    well = {
        "interval": "1m",
        # Somebody else's troubles are not ours.
        "input_series": [*series(WELL, OF_OPERATOR), *series(theirs, ELSEWHERE)],
        "promql_expr_test": [firing(minutes) for minutes in (2, 10, 45, 80)],
    }
    tests = [*map(trouble, FIRING), well]
    file = tmp_path / "tests.json"
    file.write_text(json.dumps({"rule_files": ["rules.json"], "evaluation_interval": "1m", "tests": tests}))
    assert "SUCCESS" in run(promtool, "test", "rules", file)


def test_what_alerts_and_dashboard_name_is_measured(rules: list[Json], board: Json) -> None:
    shown = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    asked = set().union(*map(named, [*shown, *(one["expr"] for one in rules)]))
    assert asked <= offered()


def test_prometheus_takes_every_query_of_the_dashboard(promtool: Path, board: Json, tmp_path: Path) -> None:
    asked = {target["expr"] for panel in board["panels"] for target in panel["targets"]}
    assert len(asked) > 20
    spelled = [one.replace("$__rate_interval", "5m").replace("$job", ".*").replace("$namespace", ".*") for one in asked]
    assert not [one for one in spelled if "$" in one or "OPERATOR" in one]
    recorded = [{"record": f"shown:{number}", "expr": one} for number, one in enumerate(sorted(spelled))]
    file = tmp_path / "rules.json"
    file.write_text(json.dumps({"groups": [{"name": "shown", "rules": recorded}]}))
    run(promtool, "check", "rules", file)


def test_the_panels_of_the_dashboard_fill_rows_and_do_not_overlap(board: Json) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        own = {(place["x"] + column, place["y"] + row) for column in range(place["w"]) for row in range(place["h"])}
        assert not own & cells, panel["title"]
        cells |= own
    columns: dict[int, int] = {}
    for _, row in cells:
        columns[row] = columns.get(row, 0) + 1
    assert set(columns.values()) == {24}
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


def test_the_sidecar_finds_the_dashboard_by_its_label(helm: Helm) -> None:
    dashboard = {"enabled": True, "labels": {"sidecar": "yes"}, "annotations": {"folder": "Platform"}}
    (made,) = [
        one["metadata"]
        for one in helm.objects({"metrics": {"dashboard": dashboard}})
        if one["metadata"]["name"] == "perdure-operator-dashboard"
    ]
    assert made["labels"]["sidecar"] == "yes"
    assert made["annotations"] == {"folder": "Platform"}


def test_the_production_checklist_shows_the_alerts() -> None:
    page = (CHART.parents[1] / "docs" / "production.md").read_text()
    table = page.partition("| alert | expression | for |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    shown = [re.findall(r"`((?:[^`])+)`|(\d+m)", line) for line in table.splitlines()]
    told = [(row[0][0], row[1][0].replace("\\|", "|"), row[2][1] if len(row) > 2 else "") for row in shown]
    alerts = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
    plain = [one["expr"].replace("{OPERATOR}", "").replace("OPERATOR,", "") for one in alerts]
    assert told == [(one["alert"], expr, one.get("for", "")) for one, expr in zip(alerts, plain, strict=True)]
