"""What the documents name is there: files and headings, commands, values of the chart, metrics."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure_operator.main import Operator
from perdure_operator.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    ROOT / "charts" / "perdure" / "README.md",
    ROOT / "benchmarks" / "README.md",
    ROOT / "tests" / "cluster" / "README.md",
]
each = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Without the blocks of code."""
    return re.sub(r"(?ms)^```.*?^```$", "", page.read_text())


def anchors(page: Path) -> set[str]:
    """The headings, as they are linked to."""
    headings = re.findall(r"(?m)^#+ (.*)$", prose(page))
    plain = (re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


def paths(values: dict[str, Any], path: str = "") -> Iterator[str]:
    for name, value in values.items():
        yield f"{path}{name}"
        if isinstance(value, dict):
            yield from paths(value, f"{path}{name}.")


@each
def test_links_lead_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            lost.append(link)
    assert lost == []


def test_kubectl_is_told_of_workflows_by_their_short_name() -> None:
    """Where Argo Workflows is installed as well, `workflow` is its kind."""
    notes = ROOT / "charts" / "perdure" / "templates" / "NOTES.txt"
    scripts, manifests = (ROOT / "docs").glob("*.sh"), ROOT.glob("examples/*/*.yaml")
    plain = [
        f"{file.relative_to(ROOT)}: {line.strip()}"
        for file in [*PAGES, notes, *scripts, *manifests]
        for line in file.read_text().splitlines()
        if re.search(r"kubectl\b[^`]* workflows?(?![\w.=:-]*\.(perdure\.io|ya?ml))\b", line)
    ]
    assert plain == []


@each
def test_files_that_are_named_exist(page: Path) -> None:
    folders = "benchmarks|charts|crds|docs|examples|operator|runtime|tests"
    named = re.findall(rf"`((?:{folders})/[\w./-]+)`", page.read_text())
    assert [file for file in named if not (ROOT / file).exists()] == []


@each
def test_commands_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):.*?# ", (ROOT / "Makefile").read_text()))
    named = set(re.findall(r"(?:`|^\$ )make ([a-z-]+)", page.read_text(), re.MULTILINE))
    assert named - targets == set()
    commands = set(re.findall(r'add(?:_parser)?\(\s*"(\w+)"', (ROOT / "runtime/perdure/cli/parser.py").read_text()))
    assert len(commands) > 8
    told = set(re.findall(r"`perdure ([a-z]+)\b(?![.:/])", page.read_text()))
    assert told - commands == set()


@each
def test_values_of_the_chart_that_are_named_exist(page: Path) -> None:
    values = yaml.safe_load((ROOT / "charts" / "perdure" / "values.yaml").read_text())
    known = set(paths(values))
    groups = "|".join(name for name, value in values.items() if isinstance(value, dict))
    text = page.read_text()
    named = set(re.findall(rf"`((?:{groups})\.[\w.]+)`", text))
    named |= set(re.findall(rf"--set '?((?:{groups})\.[\w.]+)=", text))
    # Made from other files, or files of that name.
    assert {name for name in named - known if not name.endswith((".md", ".yaml", ".py", ".tpl"))} == set()


@each
def test_metrics_that_are_named_exist(page: Path) -> None:
    settings = Settings.parse(["--pod-database-secret=pods"], {"PERDURE_DATABASE_URL": "postgresql://nowhere"})
    operator = Operator(settings)
    operator._offer_metrics()
    text = operator._metrics.text().decode()
    kinds = dict(re.findall(r"(?m)^# TYPE (perdure_operator_\w+) (\w+)", text))
    offered = set(kinds) | {f"{name}_bucket" for name, kind in kinds.items() if kind == "histogram"}
    assert set(re.findall(r"\bperdure_operator_[a-z_]+\b", page.read_text())) <= offered


def test_the_readme_leads_to_every_page() -> None:
    seen: set[Path] = set()
    left = [ROOT / "README.md"]
    while left:
        page = left.pop()
        if page in seen or not page.is_file():
            continue
        seen.add(page)
        if page.suffix == ".md":
            links = (link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)))
            left += [(page.parent / link).resolve() for link in links if link and "://" not in link]
    # These are found by their names, from the repository's own page.
    by_name = {ROOT / "tests" / "cluster" / "README.md"}
    assert set(PAGES) - seen - by_name == set()


def test_the_script_of_the_quick_start_does_what_its_page_says() -> None:
    page = (ROOT / "docs" / "quick-start.md").read_text().partition("## 4. ")[0]
    told = [re.sub(r"\s+#.*", "", line) for line in re.findall(r"(?m)^\$ (.*)$", page)]
    told = [line.replace("countdown.yaml", '"$countdown"') for line in told if "registry.example" not in line]
    script = (ROOT / "docs" / "quick-start.sh").read_text().splitlines()
    done = [next((line for line in script if line.strip().startswith(command)), None) for command in told]
    assert len(told) > 10
    assert [command for command, line in zip(told, done, strict=True) if line is None] == []
