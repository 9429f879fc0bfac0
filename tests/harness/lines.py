"""Files of lines that another process is still writing."""

from __future__ import annotations

from pathlib import Path

__all__ = ["whole_lines"]


def whole_lines(file: Path) -> list[str]:
    """The finished lines of a file; none where there is no file yet.

    A reader can see the first part of a line that is being written, also where one `write` adds it: where a line
    crosses into the next page of the file, a read may come between the two pages. So text after the last line break
    is left out.
    """
    try:
        text = file.read_text()
    except FileNotFoundError:
        return []
    return text[: text.rfind("\n") + 1].splitlines()
