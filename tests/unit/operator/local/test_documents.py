"""Files as `kubectl` reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perdure.errors import UsageError
from perdure_operator.local.documents import MOST_BYTES, read_documents


def read(folder: Path, text: str | bytes, name: str = "x.yaml") -> list[Any]:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_documents(file)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-03-01", "2026-03-01"),
        ("a: 2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
        ("a: 12:30", "12:30"),
        ("a: 1:30.5", "1:30.5"),
        ("a: yes", True),
        ("a: 'yes'", "yes"),
        ("a: 1.5", 1.5),
        ("a: 12345678901234567890", 12345678901234567890),
        ("a: |\n  x\n  y", "x\ny"),
        ("a: {1: x, true: y, null: z}", {"1": "x", "true": "y", "null": "z"}),
        ("a: \ufeffx", "\ufeffx"),
    ],
)
def test_values(tmp_path: Path, text: str, value: Any) -> None:
    assert read(tmp_path, text) == [{"a": value}]


def test_documents_without_anything_are_left_out(tmp_path: Path) -> None:
    assert read(tmp_path, "---\n---\na: 1\n---\n# nothing\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


def test_aliases_and_merges(tmp_path: Path) -> None:
    assert read(tmp_path, "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\nz: *x") == [
        {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}, "z": {"a": 1, "b": 2}}
    ]


def test_a_byte_order_mark(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1") == [{"a": 1}]


def test_json(tmp_path: Path) -> None:
    assert read(tmp_path, '{\n\t"a": [1, null]\n}', "x.json") == [{"a": [1, None]}]


BOMB = "\n".join(["a0: &a0 [x, x]", *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"\xff\xfe", "is not UTF-8 text: byte 0"),
        (b"a: \x00", "is not YAML"),
        ("a: [", "line 1, column"),
        ("a: 1\n  b: 2", "line 2, column"),
        ("a:\n\tb: 1", "line 2, column"),
        ("a: 1\na: 2", "line 2, column 1: the key 'a' is there twice"),
        ("{{ .Values.x }}", "is not YAML"),
        ("[a]: 1", "is not YAML"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
        ("a: !!binary aGVsbG8=", "JSON has no bytes"),
        ("a: !!set {x}", "JSON has no set"),
        ("a: .nan", "nan is not a number in JSON"),
        ("a: -.inf", "-inf is not a number in JSON"),
        ("a: &a [*a]", "contains itself"),
        ("a: *b", "undefined alias"),
        (BOMB, "more than 200000 values"),
        ("[" * 5000, "nested too deeply"),
        ("x" * (MOST_BYTES + 1), "is too large"),
    ],
)
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path: Path, text: str | bytes, words: str) -> None:
    with pytest.raises(UsageError, match=r"x\.yaml (is|cannot)") as error:
        read(tmp_path, text)
    assert words in str(error.value)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [('{"a": 1, "a": 2}', "the key 'a' is there twice"), ("{", "Expecting"), ('{"a": NaN}', "nan is not a number")],
)
def test_bad_json(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read(tmp_path, text, "x.json")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file or directory"):
        read_documents(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        read_documents(tmp_path)
