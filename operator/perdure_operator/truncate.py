"""Truncates results, errors and messages to the sizes that fit in a status."""

from __future__ import annotations

from typing import Final

__all__ = ["MAX_ERROR_BYTES", "MAX_RESULT_BYTES", "cut"]

MAX_RESULT_BYTES: Final = 4096
"""Most bytes of a result's JSON text. A longer result is left out of the status."""

MAX_ERROR_BYTES: Final = 1024
"""Most bytes of an error's type and message together."""

_CUT: Final = "…".encode()


def cut(text: str, most: int) -> str:
    """Cut a text to `most` bytes of UTF-8, with an ellipsis at the end. Lone surrogates become question marks."""
    data = text.encode(errors="replace")
    return data.decode() if len(data) <= most else data[: most - len(_CUT)].decode(errors="ignore") + _CUT.decode()
