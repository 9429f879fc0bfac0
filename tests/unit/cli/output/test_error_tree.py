"""Errors with all that hangs on them, as trees and as documents."""

from __future__ import annotations

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perdure.cli.output.error_tree import branches, error_document, error_line, first_traceback, has_branches
from perdure.serialization.failures.failure import Failure

UTF8 = io.TextIOWrapper(io.BytesIO(), encoding="UTF-8")
ASCII = io.TextIOWrapper(io.BytesIO(), encoding="ascii")


def stored(error: BaseException) -> str:
    return Failure.of(error).to_json()


def raised() -> Exception:
    try:
        try:
            int("x")
        except ValueError:
            raise KeyError("handled so") from OSError("disk")
    except KeyError as error:
        try:
            raise ExceptionGroup("several", [error, ExceptionGroup("deep", [TypeError("a\nb"), ValueError()])])
        except ExceptionGroup as group:
            return group
    raise AssertionError


def test_members_causes_and_what_was_handled() -> None:
    text = stored(raised())

    assert error_line(text) == "ExceptionGroup: several (2 sub-exceptions)"
    assert branches(text, UTF8) == [
        "├─ KeyError: 'handled so'",
        "│  └─ caused by OSError: disk",
        "├─ ExceptionGroup: deep (2 sub-exceptions)",
        "│  ├─ TypeError: a b",
        "│  └─ ValueError",
        "└─ while handling KeyError: 'handled so'",
        "   └─ caused by OSError: disk",
    ]
    assert branches(text, ASCII)[:3] == [
        "|- KeyError: 'handled so'",
        "|  `- caused by OSError: disk",
        "|- ExceptionGroup: deep (2 sub-exceptions)",
    ]


def test_a_document_is_nested() -> None:
    document = error_document(stored(raised()))

    assert document is not None
    assert [one["type"] for one in document["exceptions"]] == ["builtins:KeyError", "builtins:ExceptionGroup"]
    assert document["exceptions"][0]["cause"]["message"] == "disk"
    assert "context" not in document["exceptions"][0]
    assert document["context"]["cause"] == document["exceptions"][0]["cause"]
    assert document["exceptions"][1]["exceptions"][1] == {
        "type": "builtins:ValueError",
        "message": "",
        "traceback": None,
    }
    assert error_document(None) is None


def test_notes_and_what_was_not_kept_are_in_the_document() -> None:
    error: Any = ValueError("x")
    error.add_note("a note")
    error.handle = object()

    document = error_document(stored(error))
    assert document is not None
    assert (document["notes"], document["not_kept"]) == (["a note"], {"handle": "object"})


def test_what_python_would_not_show_is_left_out() -> None:
    try:
        try:
            int("x")
        except ValueError:
            raise KeyError from None
    except KeyError as error:
        text = stored(error)

    assert not has_branches(text)
    assert not has_branches(None)
    assert branches(text, UTF8) == []
    assert set(error_document(text) or {}) == {"type", "message", "traceback"}


def test_a_tree_is_bounded() -> None:
    wide = branches(stored(ExceptionGroup("wide", [ValueError(n) for n in range(50)])), UTF8)
    assert wide == [*(f"├─ ValueError: {n}" for n in range(9)), "├─ 40 more", "└─ ValueError: 49"]

    deep: Exception = ValueError("in")
    for _ in range(12):
        deep = ExceptionGroup("deep", [deep])
    lines = branches(stored(deep), UTF8)
    assert (len(lines), lines[-1].strip()) == (9, "└─ ...")

    both: Exception = ExceptionGroup("9", [ValueError(n) for n in range(9)])
    for _ in range(2):
        both = ExceptionGroup("9", [both] * 9)
    lines = branches(stored(both), UTF8)
    assert (len(lines), lines[-1]) == (61, "...")

    [long] = branches(stored(ExceptionGroup("long", [ValueError("x" * 1000)])), UTF8)
    assert len(long) < 250


def test_a_group_of_an_except_star_shows_the_traceback_of_its_first_member() -> None:
    group = ExceptionGroup("", [raised()])

    assert "in raised" in first_traceback(stored(group))
    assert first_traceback(stored(ValueError("never raised"))) == ""


errors = st.recursive(
    st.builds(ValueError, st.text()),
    lambda inner: st.builds(ExceptionGroup, st.text(), st.lists(inner, min_size=1, max_size=12)),
    max_leaves=30,
)


@given(errors)
def test_every_error_has_a_tree_and_a_document(error: Exception) -> None:
    text = stored(error)

    lines = branches(text, UTF8)
    assert len(lines) <= 61
    assert not any("\n" in line for line in lines)
    assert bool(lines) == has_branches(text)
    assert error_document(text) is not None
