"""JSON that is nested too deeply for the parser is read as far as an object's identity, and all other JSON whole."""

from __future__ import annotations

import json
import time

import pytest

from perdure_operator.kube.deep_json import end_of_value, read

DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("text", ["null", "3", '{"a": [1, "]"]}', '["{", "\\"["]'])
def test_ordinary_json_is_read_as_ever(text: str) -> None:
    assert read(text) == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", '{"a": 1', f'{{"a": {DEEP}'])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own
        read(text)


@pytest.mark.parametrize("deep", [DEEP, '{"a":' * 50_000 + "1" + "}" * 50_000])
def test_of_an_object_that_is_too_deep_the_identity_is_read(deep: str) -> None:
    body = read(f'{{"metadata": {{"name": "odd", "labels": {{"a": "[{{"}}}}, "spec": {{"x": {deep}}}, "status": {{}}}}')
    assert body["metadata"] == {"name": "odd", "labels": {"a": "[{"}}
    assert body["spec"] == "it is nested too deeply"
    assert body["status"] == {}


def test_so_it_is_in_the_event_of_a_watch() -> None:
    event = read(f'{{"type": "ADDED", "object": {{"metadata": {{"name": "odd"}}, "spec": {DEEP}}}}}')
    assert event["object"] == {"metadata": {"name": "odd"}, "spec": "it is nested too deeply"}


@pytest.mark.parametrize(
    ("text", "end"),
    [("[]", 2), ('{"a": [1, {}]} rest', 14), ('["]", "\\"]"]', 12), ("[[1]", None), ('["]', None)],
)
def test_where_a_value_ends(text: str, end: int | None) -> None:
    assert end_of_value(text, 0) == end


def test_the_work_grows_with_the_text_and_no_faster() -> None:
    began = time.process_time()
    assert end_of_value("[" + "{}," * 500_000 + "{}]", 0) == 1_500_004
    read(f'{{"metadata": {{"name": "odd"}}, "spec": [{DEEP}, {"[]," * 300_000}{DEEP}]}}')
    assert time.process_time() - began < 10
