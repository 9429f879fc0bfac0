"""What docs/kubernetes.md says is there is there, and the other way round."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perdure_operator.decide.course import Reason
from perdure_operator.main import Operator
from perdure_operator.settings import Settings

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "kubernetes.md").read_text()


def metrics() -> set[str]:
    """The names of the operator's own metrics, without their prefix."""
    settings = Settings.parse(["--pod-database-secret=pods"], {"PERDURE_DATABASE_URL": "postgresql://nowhere"})
    text = Operator(settings)._metrics.text().decode()
    return set(re.findall(r"(?m)^# TYPE perdure_operator_(\w+)", text))


def test_every_metric_is_documented() -> None:
    offered = {name for name in metrics() if not name.endswith("_created")}
    documented = set(re.findall(r"`(\w+?)(?:\{[\w, ]+\})?`", PAGE.partition("## Metrics")[2].partition("## Logs")[0]))
    assert offered <= documented, offered - documented


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_documented(reason: Reason) -> None:
    assert re.search(rf"\b{reason}\b", PAGE.partition("## What a status says")[2])


def test_flags_that_are_named_exist() -> None:
    prose = re.sub(r"(?ms)^```.*?^```$", "", PAGE)
    for flag in set(re.findall(r"--([a-z][a-z-]+)", prose)) - {"help", "pod-role"}:
        assert flag.replace("-", "_") in Settings.model_fields, flag
