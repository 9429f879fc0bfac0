"""Which manifests the API server takes, and with which words it refuses the others, as is done without a server.

All are dry runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from perdure_operator.api.parse import parse_workflow
from perdure_operator.local.admission import problems
from tests.cluster.api import ApiException, Json
from tests.cluster.cluster import Cluster
from tests.unit.operator.api.manifests import REFUSED, TAKEN

from .manifests import CONFIG_MAP, INLINE, LEAST, STRICT, manifest, refusal, sentence

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = sorted([*ROOT.glob("crds/examples/*.yaml"), *ROOT.glob("examples/*/workflow.yaml")])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_examples_are_accepted(cluster: Cluster, here: str, file: Path) -> None:
    workflows = [one for one in yaml.safe_load_all(file.read_text()) if one["kind"] == "Workflow"]
    assert workflows
    for workflow in workflows:
        stored = cluster.api.create(f"{here}?{STRICT}", workflow)
        parsed = parse_workflow(stored)
        assert parsed.problem is None
        assert parsed.spec is not None
        assert json.loads(parsed.spec.input) == workflow["spec"].get("input", {})


BAD: list[tuple[str, Any, str]] = [
    ("no spec", None, "spec: Required value"),
    ("no entrypoint", {}, "spec.entrypoint: Required value"),
    ("no function", {"entrypoint": "bank"}, "entrypoint is module:function, such as bank:transfer"),
    ("a file", {"entrypoint": "flows/bank.py:transfer"}, "entrypoint is module:function, such as bank:transfer"),
    ("a method", {"entrypoint": "bank:Bank.transfer"}, "entrypoint is module:function, such as bank:transfer"),
    ("a number for entrypoint", {"entrypoint": 7}, "spec.entrypoint in body must be of type string"),
    ("a field misspelt", {**LEAST, "inptu": {}}, 'unknown field "spec.inptu"'),
    ("an empty image", {**LEAST, "image": ""}, "spec.image in body should be at least 1 chars long"),
    ("an image with blanks", {**LEAST, "image": "bank: 1"}, "an image's name has no blanks"),
    ("a list for input", {**LEAST, "input": [1]}, "spec.input in body must be of type object"),
    ("a text for input", {**LEAST, "input": "{}"}, "spec.input in body must be of type object"),
    ("a huge input", {**LEAST, "input": {"text": "x" * 4_000_000}}, "Request entity too large"),
    ("an empty source", {**LEAST, "source": {}}, "source has inline or configMap: give one of the two"),
    ("two sources", {**LEAST, "source": {**INLINE["source"], **CONFIG_MAP["source"]}}, "give one of the two"),
    (
        "another namespace's ConfigMap",
        {**LEAST, "source": {"configMap": {"name": "../../team-b/configmaps/app-config"}}},
        "a ConfigMap's name consists of lower case letters",
    ),
    ("no file", {**LEAST, "source": {"inline": {}}}, "spec.source.inline in body should have at least 1 properties"),
    ("a file elsewhere", {**LEAST, "source": {"inline": {"../bank.py": ""}}}, "a file's name is a relative path"),
    ("a file at the root", {**LEAST, "source": {"inline": {"/bank.py": ""}}}, "a file's name is a relative path"),
    ("a file that is none", {**LEAST, "source": {"inline": {"bank.py": 7}}}, "must be of type string"),
    (
        "much code",
        {**LEAST, "source": {"inline": {"a.py": "x" * 70_000, "b.py": "x" * 70_000}}},
        "the files have more than 128 KiB together: use source.configMap, or put the code into an image",
    ),
    ("a long file", {**LEAST, "source": {"inline": {"a.py": "x" * 140_000}}}, "spec.source.inline.a.py: Too long"),
    (
        "a ConfigMap without a name",
        {**LEAST, "source": {"configMap": {}}},
        "spec.source.configMap.name: Required value",
    ),
    (
        "a negative limit",
        {**LEAST, "backoffLimit": -1},
        "spec.backoffLimit in body should be greater than or equal to 0",
    ),
    ("a text for a limit", {**LEAST, "backoffLimit": "6"}, "spec.backoffLimit in body must be of type integer"),
    ("a half limit", {**LEAST, "backoffLimit": 1.5}, "spec.backoffLimit in body must be of type integer"),
    ("a huge limit", {**LEAST, "backoffLimit": 2**31}, "spec.backoffLimit in body should be less than or equal to"),
    (
        "no time",
        {**LEAST, "activeDeadlineSeconds": 0},
        "spec.activeDeadlineSeconds in body should be greater than or equal",
    ),
    (
        "a negative time to live",
        {**LEAST, "ttlSecondsAfterFinished": -1},
        "spec.ttlSecondsAfterFinished in body should be",
    ),
    ("a word for suspend", {**LEAST, "suspend": "yes"}, "spec.suspend in body must be of type boolean"),
    ("a number for cancel", {**LEAST, "cancel": 1}, "spec.cancel in body must be of type boolean"),
    ("a list for podTemplate", {**LEAST, "podTemplate": []}, "spec.podTemplate in body must be of type object"),
    (
        "no grace",
        {**LEAST, "podTemplate": {"spec": {"terminationGracePeriodSeconds": 0}}},
        "terminationGracePeriodSeconds in body should be greater than or equal to 1",
    ),
    (
        "a container without a name",
        {**LEAST, "podTemplate": {"spec": {"containers": [{"image": "x"}]}}},
        "spec.podTemplate.spec.containers[0].name: Required value",
    ),
    (
        "a container twice",
        {**LEAST, "podTemplate": {"spec": {"containers": [{"name": "x"}, {"name": "x"}]}}},
        'spec.podTemplate.spec.containers[1]: Duplicate value: {"name":"x"}',
    ),
    (
        "a variable twice",
        {**LEAST, "podTemplate": {"spec": {"containers": [{"name": "x", "env": [{"name": "A"}, {"name": "A"}]}]}}},
        'spec.podTemplate.spec.containers[0].env[1]: Duplicate value: {"name":"A"}',
    ),
    *((f"podTemplate: {title}", {**LEAST, "podTemplate": template}, words) for title, template, _, words in REFUSED),
]


@pytest.mark.parametrize(("spec", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_manifests_are_refused_with_their_words(cluster: Cluster, here: str, spec: Any, words: str) -> None:
    with pytest.raises(ApiException) as error:
        cluster.api.create(f"{here}?{STRICT}", manifest(spec))
    said = refusal(error)
    assert words in said
    for problem in problems(manifest(spec)):
        assert sentence(problem) in said


BORDERLINE: dict[str, Json] = {
    "letters and digits": {"entrypoint": "_a1.B:_c2"},
    "an image with what is no blank": {**LEAST, "image": "a\rb\u2003c"},
    "a long name of a file": {**LEAST, "source": {"inline": {"x" * 253: ""}}},
    "dots in a file's name": {**LEAST, "source": {"inline": {"_a/b.c-d/e..py": ""}}},
    "as much code as may be": {**LEAST, "source": {"inline": {"a.py": "é" * 65_536, "b.py": "x" * 65_536}}},
    "least numbers": {**LEAST, "backoffLimit": 0, "activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 0},
    "numbers without a fraction": {**LEAST, "backoffLimit": 3.0},
}


@pytest.mark.parametrize("spec", BORDERLINE.values(), ids=BORDERLINE)
def test_what_is_just_good_enough_is_accepted(cluster: Cluster, here: str, spec: Json) -> None:
    cluster.api.create(f"{here}?{STRICT}", manifest(spec))


@pytest.mark.parametrize("template", TAKEN.values(), ids=TAKEN)
def test_good_templates_are_accepted(cluster: Cluster, here: str, template: Json) -> None:
    cluster.api.create(f"{here}?{STRICT}", manifest({**LEAST, "podTemplate": template}))


@pytest.mark.parametrize("field", ["image", "source", "input", "backoffLimit", "podTemplate", "suspend"])
def test_null_is_the_same_as_nothing(cluster: Cluster, here: str, field: str) -> None:
    with_null = cluster.api.create(f"{here}?{STRICT}", manifest({**LEAST, field: None}))
    assert with_null["spec"] == cluster.api.create(f"{here}?{STRICT}", manifest(LEAST))["spec"]


def test_null_in_a_template_stays_to_take_away_what_is_ours(cluster: Cluster, here: str) -> None:
    template = {"spec": {"securityContext": {"seccompProfile": None}}}
    stored = cluster.api.create(f"{here}?{STRICT}", manifest({**LEAST, "podTemplate": template}))
    assert stored["spec"]["podTemplate"] == template
