"""The files that come with a run: checked, and written to a private folder from which they are imported.

A resumed run so has the code with which it started. The names are a stranger's: none leads out of the folder, and none
takes the place of a module of Python's own.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from ..errors import EntrypointError

__all__ = ["SourceFolder", "files_of_source", "problem_with_files", "source_of_files"]

_LONGEST_PART = 255
_LONGEST_NAME = 1024
"""In bytes, which every file system takes."""


def source_of_files(files: Mapping[str, str]) -> str:
    """The `source` of a run that these files, whose names have no problem, go with."""
    return json.dumps({"files": dict(files)})


def files_of_source(source: str) -> dict[str, str]:
    """The files in a run's `source`, by name.

    Raises:
        EntrypointError: it holds no files, or some whose names are refused; the message names them.
    """
    try:
        document = json.loads(source)
        files = document["files"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise EntrypointError(
            f'the run\'s source cannot be read ({error!r}): it is {{"files": {{name: text}}}}'
        ) from error
    if not isinstance(files, dict) or not all(isinstance(text, str) for text in files.values()):
        raise EntrypointError("the run's source holds no files: it maps their names to their texts")
    if problem := problem_with_files(files):
        raise EntrypointError(f"the run's source: {problem}")
    return files


def problem_with_files(names: Iterable[str]) -> str | None:
    """Why files of these names cannot be a run's source; None if they can."""
    names = sorted(names)
    if not names:
        return "it has no files"
    for name in names:
        if problem := _problem(name):
            return f"{name[:100]!r} {problem}"
    folders = {str(folder) for name in names for folder in PurePosixPath(name).parents}
    if both := folders.intersection(names):
        return f"{min(both)!r} is a file and a folder"
    return None


def _problem(name: str) -> str | None:
    parts = name.split("/")
    if name.startswith("/") or "\\" in name:
        return "is no name of a file below the folder of the source: write names such as bank.py or bank/accounts.py"
    if any(part in ("", ".", "..") for part in parts):
        return "has an empty part, or one that leads elsewhere: write names such as bank.py or bank/accounts.py"
    if not name.isprintable():
        return "holds characters that are not printable"
    if len(name.encode()) > _LONGEST_NAME or any(len(part.encode()) > _LONGEST_PART for part in parts):
        return f"is too long: {_LONGEST_PART} bytes are the most for a part, {_LONGEST_NAME} for all"
    module = parts[0].partition(".")[0] if len(parts) == 1 else parts[0]
    if (len(parts) > 1 or name.endswith(".py")) and (module in sys.stdlib_module_names or module == "perdure"):
        return f"would stand in for Python's or Perdure's own module {module!r}: rename it"
    return None


class SourceFolder:
    """A new folder with the files of a run's source, below TMPDIR, which may be all that can be written to.

    Args:
        files: their texts by name; names without a problem.

    Raises:
        OSError: there is no place for them.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        self.path = tempfile.mkdtemp(prefix="perdure-source-")
        self._made_by = os.getpid()
        try:
            for name, text in files.items():
                file = Path(self.path, name)
                file.parent.mkdir(parents=True, exist_ok=True)
                # As it was given: neither its line ends nor a lone surrogate in it change on the way.
                file.write_bytes(text.encode("utf-8", "surrogatepass"))
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Remove it; not from a fork of user code."""
        if os.getpid() == self._made_by:
            shutil.rmtree(self.path, ignore_errors=True)
