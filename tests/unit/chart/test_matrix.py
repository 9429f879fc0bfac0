"""The matrix of the chart's values has each two positions of two switches, and every switch of the chart."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import yaml

from tests.integration.chart.matrix import SWITCHES, meeting, meetings, values_of
from tests.unit.chart.tree import CHART

VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def test_each_two_positions_meet() -> None:
    switches = {"one": "ab", "two": "xyz", "three": "12", "four": "st"}
    rows = list(meeting(switches))
    assert {frozenset(pair) for row in rows for pair in combinations(row.items(), 2)} == meetings(switches)
    assert len(meetings(switches)) == 6 + 4 + 4 + 6 + 6 + 4
    assert 6 <= len(rows) <= 8, "as few as there can be, or nearly"
    assert list(meeting(switches)) == rows


def test_a_switch_is_where_its_path_says() -> None:
    row = dict.fromkeys(SWITCHES, 0) | {"database.tls.mode": 2, "crds.enabled": 1}
    values = values_of(row)
    assert values["database"]["tls"]["mode"] == "verify-full"
    assert values["crds"] == {"enabled": False}


def test_every_value_that_is_on_or_off_is_a_switch_in_both_positions() -> None:
    def leaves(values: dict[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
        for name, value in values.items():
            if isinstance(value, dict):
                yield from leaves(value, f"{path}{name}.")
            else:
                yield f"{path}{name}", value

    booleans = {path for path, value in leaves(VALUES) if isinstance(value, bool)}
    assert len(booleans) > 6
    # The schema has no other value for it.
    assert booleans - set(SWITCHES) == {"podSecurityContext.runAsNonRoot"}
    assert {path for path in booleans & set(SWITCHES) if set(SWITCHES[path]) != {True, False}} == set()
