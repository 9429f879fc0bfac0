"""What of a run's words a status shows, where they may be long: an object of the API server is no place for data."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_ERROR_BYTES", "MAX_RESULT_BYTES", "cut"]

MAX_RESULT_BYTES: Final = 4096
"""Of a result's JSON text."""

MAX_ERROR_BYTES: Final = 1024
"""Of an error's type and message together."""

_CUT: Final = "…".encode()


def cut(text: str, most: int) -> str:
    """A text of at most so many bytes of UTF-8, which says so where it is cut; lone surrogates are none."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= most else data[: most - len(_CUT)].decode(errors="ignore") + _CUT.decode()
