"""Names of files that come with a run: what is refused, and that nothing else leads out of the folder."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from perdure.errors import EntrypointError
from perdure.pod.source import SourceFolder, files_of_source, problem_with_files, source_of_files


@pytest.mark.parametrize(
    "names",
    [["bank.py"], ["a/b/c.py", "a/b/d.csv", "a/__init__.py"], ["data/json"], ["json.csv"], [".hidden"], ["é ü.py"]],
)
def test_names_that_are_taken(names: list[str]) -> None:
    assert problem_with_files(names) is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "empty part"),
        ("/bank.py", "no name of a file below"),
        ("a//b.py", "empty part"),
        ("a/", "empty part"),
        ("../a.py", "leads elsewhere"),
        ("a/../../b.py", "leads elsewhere"),
        ("./a.py", "leads elsewhere"),
        ("a\\b.py", "no name of a file below"),
        ("a\0.py", "not printable"),
        ("a\n.py", "not printable"),
        ("a\ud800.py", "not printable"),
        ("x" * 256, "too long"),
        ("é" * 128, "too long"),
        ("/".join(["x" * 200] * 6), "too long"),
        ("random.py", "own module 'random'"),
        ("perdure/__init__.py", "own module 'perdure'"),
        ("perdure.py", "own module 'perdure'"),
        ("asyncio/tasks.py", "own module 'asyncio'"),
    ],
)
def test_names_that_are_refused(name: str, said: str) -> None:
    assert said in (problem_with_files([name, "bank.py"]) or "")


def test_a_file_that_is_also_a_folder_is_named() -> None:
    assert problem_with_files(["a/b/c.py", "a/b"]) == "'a/b' is a file and a folder"


def test_no_files_are_none() -> None:
    assert problem_with_files([]) == "it has no files"


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '"files"', '{"files": null}', "[" * 100_000, '{"files": 1}'])
def test_a_source_that_holds_no_files_is_refused(text: str) -> None:
    with pytest.raises(EntrypointError, match="source"):
        files_of_source(text)


_PARTS = st.sampled_from(["..", ".", "", "a", "b.py", "~", "%2e%2e", "$HOME", "a b", "\u2024\u2024", "con", "-rf"])
_NAMES = st.one_of(st.text(max_size=40), st.lists(_PARTS, min_size=1, max_size=5).map("/".join))


@given(files=st.dictionaries(_NAMES, st.text(st.characters(codec=None), max_size=50), min_size=1, max_size=5))
@example(files={"a": "\ud800\r\n\0"})
def test_whatever_is_taken_is_written_below_the_folder_and_nowhere_else(files: dict[str, str]) -> None:
    if problem_with_files(files) is not None:
        return
    assert files_of_source(source_of_files(files)) == files
    with tempfile.TemporaryDirectory() as room:
        before, tempfile.tempdir = tempfile.tempdir, room
        try:
            folder = SourceFolder(files)
        finally:
            tempfile.tempdir = before
        written = {
            os.path.relpath(Path(at, name), folder.path): Path(at, name).read_bytes()
            for at, _, names in os.walk(room)
            for name in names
        }
        assert written == {name: text.encode("utf-8", "surrogatepass") for name, text in files.items()}
        folder.close()
        assert os.listdir(room) == []
