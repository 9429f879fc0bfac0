"""Texts of scalars, bytes and class names: one for each value, and short whatever its size."""

from __future__ import annotations

import sys

import pytest

from perdure.serialization.canonical.text import LONG_TEXT, bytes_text, class_name, scalar_text, short_hash


@pytest.mark.parametrize(
    ("value", "text"), [(None, "None"), (True, "True"), (1, "1"), (1.0, "1.0"), ("é", r"'\xe9'"), ("a\0", r"'a\x00'")]
)
def test_scalars_are_ascii(value: object, text: str) -> None:
    assert scalar_text(value) == text


def test_scalars_of_different_types_differ() -> None:
    assert len({scalar_text(one) for one in (1, 1.0, True, "1", None, "None", -0.0, 0.0)}) == 8


def test_a_long_text_is_its_hash() -> None:
    assert scalar_text("x" * LONG_TEXT) == repr("x" * LONG_TEXT)
    long = "x" * (LONG_TEXT + 1)
    assert scalar_text(long) == f"s#{short_hash(long.encode())}"
    assert scalar_text(long) != scalar_text(long + "x")
    assert scalar_text("\ud800" * 3000) != scalar_text("\ud801" * 3000)


def test_a_number_longer_than_python_writes_has_a_text() -> None:
    number = 10 ** (sys.get_int_max_str_digits() + 10)
    assert int(scalar_text(number), 16) == number


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_count_and_not_what_holds_them(kind: type) -> None:
    for data in (b"", b"abc", b"x" * 64, b"x" * 65):
        assert bytes_text(kind(data)) == bytes_text(data)
    assert bytes_text(kind(b"abc")) == "b'abc'"


def test_very_long_bytes_count_by_length_and_both_ends() -> None:
    size = (1 << 24) + 1000
    data = bytearray(size)
    before = bytes_text(data)
    for place in (0, size - 1):
        data[place] = 1
        assert bytes_text(data) != before
        data[place] = 0
    assert bytes_text(data[:-1]) != before
    assert len(before) < 100


class Outer:
    class Inner:
        pass


def local() -> type:
    class Local:
        pass

    return Local


class Masked(type):
    __qualname__ = "hidden"


def test_a_class_has_the_name_within_its_module() -> None:
    assert class_name(Outer.Inner) == "Outer.Inner"
    assert class_name(local()) == "Local"
    assert class_name(Masked("Shown", (), {})) == "Shown"
