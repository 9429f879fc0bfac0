"""Names and labels of pods: known beforehand, of one attempt alone, and valid however long the Workflow's name is."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from perdure_operator.api.names import POD_SELECTOR, pod_labels, pod_name
from perdure_operator.decide.observed import Key
from tests.unit.operator.decide.builders import workflow

UID = UUID("0a1b2c3d-0000-4000-8000-000000000001")
NAMES = ["a", "transfer-17", "a" * 253, "x" * 39 + "-" + "y" * 20, "shop.example." * 15 + "com", "a" * 38 + ".-b"]


@pytest.mark.parametrize("name", NAMES)
def test_a_pods_name_is_a_valid_one_and_fits_into_a_label(name: str) -> None:
    made = pod_name(name, UID, 12345)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", made)
    assert ".-" not in made
    assert "-." not in made
    assert len(made) <= 63
    assert made.endswith("-0a1b2c3d-12345")


def test_another_attempt_or_workflow_has_another_name() -> None:
    other = UUID("1a1b2c3d-0000-4000-8000-000000000001")
    made = {pod_name("a", UID, 1), pod_name("a", UID, 2), pod_name("a", other, 1), pod_name("b", UID, 1)}
    assert len(made) == 4


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_valid_and_selected(name: str) -> None:
    labels = pod_labels(workflow(key=Key("shop", name)), 3)
    value_of_a_label = re.compile(r"[A-Za-z0-9]([-\w.]*[A-Za-z0-9])?")
    assert all(len(value) <= 63 and value_of_a_label.fullmatch(value) for value in labels.values())
    for part in POD_SELECTOR.split(","):
        key, _, value = part.partition("=")
        assert key in labels
        assert value in ("", labels[key])
