"""What docs/kubernetes.md and docs/troubleshooting.md say is there is there, and the other way round."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from perdure_operator.decide.plan import Reason
from perdure_operator.decide.telling.status import IMAGE_CHANGED
from perdure_operator.main import Operator
from perdure_operator.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "kubernetes.md").read_text()
SYMPTOMS = (ROOT / "docs" / "troubleshooting.md").read_text()
OF_OTHER_COMMANDS = {"existing", "help", "key", "pod-role", "login", "new-password", "secret"}
"""Flags of `perdure migrate` and `perdure logins`, which the page names, too."""

STALLED = {
    Reason.INVALID_SPEC,
    Reason.NAMESPACE_REFUSED,
    Reason.SOURCE_MISSING,
    Reason.CHECKPOINTS_MISSING,
    Reason.IMAGE_PULL_FAILED,
    Reason.POD_REFUSED,
    Reason.STORE_UNREACHABLE,
    Reason.CANNOT_START,
    Reason.BEGUN_ELSEWHERE,
}


def metrics() -> set[str]:
    """The names of the operator's own metrics, without their prefix."""
    settings = Settings.parse(["--pod-database-secret=pods"], {"PERDURE_DATABASE_URL": "postgresql://nowhere"})
    operator = Operator(settings)
    operator._offer_metrics()
    text = operator._metrics.text().decode()
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
    for flag in set(re.findall(r"--([a-z][a-z-]+)", prose)) - OF_OTHER_COMMANDS:
        assert flag.replace("-", "_") in Settings.model_fields, flag


def _rows(text: str, heading: str) -> set[str]:
    """What stands in the first column of the table below a heading."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0].partition("\n### ")[0]
    firsts = re.findall(r"(?m)^\| ((?:`\w+`(?:, )?)+) \|", section)
    return {name for first in firsts for name in re.findall(r"`(\w+)`", first)}


def _events() -> set[str]:
    """The reasons of events, as the code names them; those of a Workflow that waits for a person are its own."""
    tree = ast.parse((ROOT / "operator" / "perdure_operator" / "decide" / "telling" / "events.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "PostEvent"]
    parts = [part for call in calls for part in ast.walk(call.args[0])]
    named = {part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    assert any(isinstance(call.args[0], ast.Call) for call in calls), "str(situation.reason), where it is stalled"
    return named | {IMAGE_CHANGED} | set(STALLED)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def test_every_reason_has_a_row_of_what_to_do_and_there_is_no_other() -> None:
    waiting = _rows(SYMPTOMS, "A Workflow does not go on")
    ended = _rows(SYMPTOMS, "A Workflow has failed")
    assert waiting | ended == set(Reason)
    assert waiting & ended == set()


def test_every_event_has_a_row_and_there_is_no_other() -> None:
    events = _events()
    assert {"Started", "Resumed", "Crashed", "Cancelled"} <= events
    assert _rows(SYMPTOMS, "Events") == events


def test_what_a_failed_migration_and_an_unready_operator_say_is_what_they_say() -> None:
    sources = [*(ROOT / "runtime" / "perdure" / "store").rglob("*.py"), *(ROOT / "operator").rglob("*.py")]
    # A message that is written on several lines is one.
    said = re.sub(r'"\s*\n\s*f?"', "", "\n".join(file.read_text() for file in sources))
    section = SYMPTOMS.partition("### The migration fails\n")[2].partition("\n### ")[0]
    messages = re.findall(r"(?m)^\| `([^`]+)` \|", section) + re.findall(r"(?m)^\| Not ready: `([^`]+)` \|", SYMPTOMS)
    assert len(messages) > 8
    parts = [part.strip() for message in messages for part in message.split("...")]
    assert [part for part in parts if part not in said] == []
