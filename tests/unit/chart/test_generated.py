"""What of the chart is made from other files is what those say."""

from __future__ import annotations

import pytest
import yaml

from charts.generate import generated, values
from tests.unit.chart.tree import CHART, ROOT


@pytest.mark.parametrize(("file", "text"), generated().items(), ids=lambda made: getattr(made, "name", ""))
def test_a_made_file_is_what_it_is_made_from(file, text):
    assert file.read_text() == text, "write it anew: make chart"


def test_the_chart_has_every_kind_and_no_other():
    kinds = {file.name for file in (ROOT / "crds").glob("*.yaml")}
    assert {file.name for file in (CHART / "files" / "crds").iterdir()} == kinds != set()


def test_every_value_has_a_line_in_the_readme():
    readme = (CHART / "README.md").read_text()
    assert len(values()) > 50
    assert [value.path for value in values() if f"| `{value.path}` | `{value.default}` |" not in readme] == []


def test_the_releases_of_chart_and_product_are_one():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    assert chart["version"] == chart["appVersion"]
    assert f'\nversion = "{chart["appVersion"]}"\n' in project


def test_the_first_workflow_is_the_same_everywhere():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    (example,) = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
    assert example == yaml.safe_load((CHART / "files" / "hello.yaml").read_text())
