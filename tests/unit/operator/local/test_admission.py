"""A bad manifest is refused without a cluster with the words that the API server has for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perdure.errors import UsageError
from perdure_operator.api.crd import crd
from perdure_operator.local.admission import admit, immutable_words, problems
from perdure_operator.local.manifest import read_manifest
from tests.cluster.crd.manifests import CONFIG_MAP, INLINE, LEAST, manifest, rules, sentence
from tests.cluster.crd.test_manifests import BAD, BORDERLINE
from tests.unit.operator.api.manifests import TAKEN

ROOT = Path(__file__).resolve().parents[4]
EXAMPLES = sorted([*ROOT.glob("crds/examples/*.yaml"), *ROOT.glob("examples/*/workflow.yaml")])


@pytest.mark.parametrize(("spec", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_manifests_are_refused_with_the_servers_words(spec: Any, words: str) -> None:
    said = problems(manifest(spec))

    assert words in "; ".join(said)
    assert len(said) == 1


def test_every_rule_for_new_manifests_has_a_bad_one_that_breaks_it() -> None:
    schema = crd()["spec"]["versions"][0]["schema"]
    for_new = {rule["message"] for rule in rules(schema) if "oldSelf" not in rule["rule"]}
    said = {sentence(problem) for _, spec, _ in BAD for problem in problems(manifest(spec))}
    assert len(for_new) > 15
    assert for_new <= said


@pytest.mark.parametrize("spec", BORDERLINE.values(), ids=BORDERLINE)
def test_what_is_just_good_enough_is_taken(spec: dict[str, Any]) -> None:
    assert problems(manifest(spec)) == []


@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_good_templates_are_taken(template: dict[str, Any]) -> None:
    assert problems(manifest({**LEAST, "podTemplate": template})) == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_examples_are_taken(file: Path) -> None:
    read = read_manifest(file)
    assert admit(read.workflow, read.namespace).problem is None


@pytest.mark.parametrize("field", ["image", "source", "input", "backoffLimit", "podTemplate", "suspend"])
def test_null_is_the_same_as_nothing(field: str) -> None:
    assert admit(manifest({**LEAST, field: None}), "default") == admit(manifest(LEAST), "default")


def test_defaults_are_those_of_the_kind() -> None:
    spec = admit(manifest(LEAST), "shop").spec
    assert spec is not None
    assert (spec.input, spec.backoff_limit, spec.suspend, spec.cancel) == ("{}", 6, False, False)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "metadata: Required value"),
        ({}, "metadata.name: Required value"),
        ({"generateName": "a-"}, "generateName will not do here"),
        ({"name": "Transfer"}, "a lowercase RFC 1123 subdomain must consist of"),
        ({"name": "a" * 254}, "a lowercase RFC 1123 subdomain must consist of"),
        ({"name": 7}, "metadata.name: Invalid value: 7"),
        ({"name": "a", "namespace": "a.b"}, "a lowercase RFC 1123 label must consist of"),
    ],
)
def test_bad_names(metadata: Any, words: str) -> None:
    assert words in "; ".join(problems({**manifest(LEAST), "metadata": metadata}))


def test_a_field_of_no_workflow() -> None:
    assert problems({**manifest(LEAST), "sepc": {}}) == ['strict decoding error: unknown field "sepc"']


def test_a_status_is_as_good_as_none() -> None:
    assert problems({**manifest(LEAST), "status": {"phase": "Odd", "x": 1}}) == []


def test_all_is_said_at_once() -> None:
    assert len(problems(manifest({"backoffLimit": -1, "suspend": 1, "x": 1}))) == 4


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({**INLINE, "input": {"x": "y" * 131_100}}, "131072 are the most"),
        (
            {**LEAST, "source": {"inline": {"json.py": ""}}},
            "would stand in for Python's or Perdure's own module 'json'",
        ),
        ({**LEAST, "source": {"inline": {"a": "", "a/b.py": ""}}}, "'a' is a file and a folder"),
    ],
)
def test_what_only_the_operator_refuses(spec: Any, words: str) -> None:
    with pytest.raises(UsageError, match=r"the Workflow refused is refused: spec") as error:
        admit(manifest(spec), "default")
    assert words in str(error.value)


@pytest.mark.parametrize("field", ["entrypoint", "image", "source", "input"])
def test_words_for_a_change(field: str) -> None:
    assert immutable_words(field).startswith(f"spec.{field}: Forbidden: {field} cannot be changed")


def test_a_config_map_is_no_problem_of_the_workflow() -> None:
    assert problems(manifest(CONFIG_MAP)) == []
