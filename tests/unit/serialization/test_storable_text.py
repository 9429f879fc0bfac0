"""Text for Postgres: without what it cannot store, and no longer than it may be."""

from __future__ import annotations

import pytest

from perdure.serialization.storable_text import cut, is_storable, storable


@pytest.mark.parametrize("text", ["", "plain", "Grüße 🎈", "\x01\x7f\ud7ff\ue000", "\U0010ffff"])
def test_text_that_postgres_takes_stays_as_it_is(text: str) -> None:
    assert is_storable(text)
    assert storable(text) == text


@pytest.mark.parametrize(("text", "written"), [("a\x00b", r"a\u0000b"), ("\ud800", r"\ud800"), ("x\udfff", r"x\udfff")])
def test_a_nul_and_a_lone_surrogate_are_written_as_escapes(text: str, written: str) -> None:
    assert not is_storable(text)
    assert storable(text) == written
    assert is_storable(written)


def test_a_short_text_is_not_cut() -> None:
    assert cut("x" * 100, 100) == "x" * 100


@pytest.mark.parametrize("most", [100, 101, 1000])
def test_a_long_text_keeps_its_ends_and_says_how_long_it_was(most: int) -> None:
    text = "begin" + "." * 5000 + "end"
    short = cut(text, most)
    assert len(short) <= most
    assert short.startswith("begin")
    assert short.endswith("end")
    assert "[5008 characters, the middle is left out]" in short
