"""What is too long for a status is cut, at a character, and says so."""

from __future__ import annotations

import pytest

from perdure_operator.truncate import cut


@pytest.mark.parametrize("text", ["", "12345", "äö", "🎈"])
def test_what_fits_is_whole(text: str) -> None:
    assert cut(text, 5) == text


@pytest.mark.parametrize(
    ("text", "most", "short"),
    [("1234567", 6, "123…"), ("ääää", 7, "ää…"), ("äääää", 6, "ä…"), ("🎈🎈", 7, "🎈…"), ("🎈🎈", 6, "…")],
)
def test_what_does_not_ends_with_a_mark_and_in_no_half_character(text: str, most: int, short: str) -> None:
    assert cut(text, most) == short
    assert len(short.encode()) <= most


def test_a_lone_surrogate_is_no_text_for_the_api_server() -> None:
    assert cut("a\ud800b", 10) == "a?b"
