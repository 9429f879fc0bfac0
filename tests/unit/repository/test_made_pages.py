"""What of the documentation is made from other files is what those say; the image holds no licence but allowed ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs.generate import generated
from docs.licences import ALLOWED, licences

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(("page", "text"), generated().items(), ids=lambda made: getattr(made, "name", ""))
def test_a_made_page_is_what_it_is_made_from(page: Path, text: str) -> None:
    assert page.read_text() == text, "write it anew: make docs"


def test_the_reference_has_every_field_of_the_kind() -> None:
    (version,) = yaml.safe_load((ROOT / "crds" / "perdure.io_workflows.yaml").read_text())["spec"]["versions"]
    page = (ROOT / "docs" / "api.md").read_text()

    def fields(schema: dict) -> set[str]:
        below = [*schema.get("properties", {}).values(), schema.get("items", {})]
        return set(schema.get("properties", {})).union(*(fields(one) for one in below if one))

    of_ours = fields(version["schema"]["openAPIV3Schema"]) - {"apiVersion", "kind"}
    assert len(of_ours) > 40
    assert of_ours - {"metadata", "spec", "status"} - set(re.findall(r"(?m)^\| `(\w+)` \|", page)) == set()


def test_every_package_of_the_image_has_a_licence_that_may_be_there() -> None:
    found = licences()
    assert len(found) > 30
    refused = {
        name: licence for name, (_, licence) in found.items() if not set(re.split(r" AND | OR ", licence)) <= ALLOWED
    }
    assert refused == {}
