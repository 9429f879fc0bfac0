"""What is read of a recorded error, of which only the beginning is there."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.serialization.failures.failure import Failure
from perdure_operator.store.rows import brief_error


def test_type_and_message_of_a_whole_one() -> None:
    text = Failure("bank:Refused", "no money", traceback="x" * 100, args=("no money",)).to_json()
    assert json.loads(brief_error(text)) == {"type": "bank:Refused", "message": "no money"}


@pytest.mark.parametrize(
    "text", ["", "null", "3", "[]", "{}", '{"type": null}', '"type"', "[" * 16384, '{"message": "']
)
def test_what_is_no_error_is_an_empty_one(text: str) -> None:
    assert set(json.loads(brief_error(text))) == {"type", "message"}


@given(
    kind=st.text(max_size=10),
    message=st.text(st.characters(codec=None), max_size=30),
    cut=st.integers(0, 400),
    spaced=st.booleans(),
)
@example(kind="a:B", message="\ud83d\ude00" * 5, cut=40, spaced=False)
@example(kind='"type"', message='"\\"', cut=60, spaced=True)
def test_of_one_that_is_cut_off_as_much_is_read_as_is_there(kind: str, message: str, cut: int, spaced: bool) -> None:
    document = {"type": kind, "message": message, "traceback": "t" * 50}
    text = json.dumps(document, separators=None if spaced else (",", ":"))
    found = json.loads(brief_error(text[:cut]))
    if cut >= len(text):
        assert found == {"type": kind, "message": message}
    assert kind == found["type"] or found["type"] == ""
    read = found["message"]
    # An escaped pair may be cut in its middle, which leaves the first half of it.
    assert message.startswith(read) or (read and message.startswith(read[:-1]))


def test_a_long_message_is_cut_short() -> None:
    found = json.loads(brief_error(json.dumps({"type": "a:B", "message": "é" * 10_000})))
    assert found["message"] == "é" * 4096 + "..."
