"""Checkpoints as parameters of the functions `checkpoint` and `checkpoints`, and the answers of those."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import SchemaMismatch
from perdure.store.attempts.checkpoint import (
    Answer,
    CallKind,
    Checkpoint,
    answer_of,
    answers_of,
    batch_parameters,
    kind_of,
)

PLAIN = Checkpoint(b"r", b"t", "call", 1, "call", 1, 10, 5, "12", None, "00ff")


def column(place: int, *changes: dict[str, Any]) -> bytes | None:
    given = {name: getattr(PLAIN, name) for name in Checkpoint.__slots__}
    return batch_parameters([Checkpoint(**{**given, **change}) for change in changes])[place]


def test_values_of_a_batch_stand_side_by_side() -> None:
    assert column(3, {"ordinal": 1}, {"ordinal": 22}) == b"{1,22}"
    assert column(8, {"result": "12"}, {"result": "[3, 4]"}) == b'{"12","[3, 4]"}'


def test_none_is_null_and_the_text_null_is_not() -> None:
    assert column(8, {"result": None}, {"result": "null"}) == b'{NULL,"null"}'
    assert column(9, {"error": None}, {"error": None}) == b"{NULL,NULL}"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('"a"', b'"\\"a\\""'),
        ("a\\b", b'"a\\\\b"'),
        ('"\\""', b'"\\"\\\\\\"\\""'),
        ("{a,b}", b'"{a,b}"'),
        ("\u00e9", '"\u00e9"'.encode()),
        ("", b'""'),
    ],
)
def test_text_is_quoted_for_an_array(text: str, written: bytes) -> None:
    assert column(8, {"result": text}, {"result": "1"}) == b"{" + written + b',"1"}'
    # Beside one that has nothing to escape, and beside one that is not there.
    assert column(8, {"result": None}, {"result": text}) == b"{NULL," + written + b"}"


@pytest.mark.parametrize("kind", list(CallKind))
def test_each_kind_is_written_and_read_as_a_letter(kind: CallKind) -> None:
    assert column(11, {"kind": kind}, {"kind": kind}) == f"{{{kind.value},{kind.value}}}".encode()
    assert PLAIN.parameters()[11] == b"s"
    assert kind_of(kind.value.encode()) is kind


def test_a_kind_of_a_newer_release_is_refused() -> None:
    with pytest.raises(SchemaMismatch, match=r"of kind 'z', which this client does not know.*upgrade"):
        kind_of(b"z")


def test_answers_come_in_order() -> None:
    assert answers_of(b"{0,6,3}") == [Answer.DONE, Answer.LOCKED, Answer.SUPERSEDED]
    assert answers_of(b"{0}") == [Answer.DONE]
    assert answer_of(b"2") is Answer.KEY_TAKEN


@pytest.mark.parametrize("answer", list(Answer))
def test_each_answer_is_known_by_its_number(answer: Answer) -> None:
    assert answer_of(b"%d" % answer) is answer


def test_an_unknown_answer_is_an_error() -> None:
    with pytest.raises(KeyError):
        answer_of(b"99")
