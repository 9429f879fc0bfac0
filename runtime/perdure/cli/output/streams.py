"""The standard streams of a command, made safe: they may be closed, or of an encoding that lacks letters."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

__all__ = ["json_text", "prepare_streams"]


def prepare_streams() -> None:
    """Open streams that are closed, on nothing, and write characters that the others cannot encode as escapes."""
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            # Else the next file or connection would get its number, and the printed text.
            nowhere = os.open(os.devnull, os.O_RDWR)
            if nowhere != number:
                os.dup2(nowhere, number)
                os.close(nowhere)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        _escape(stream)


def _escape(stream: TextIO) -> None:
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def json_text(document: Any) -> str:
    """A document as JSON that standard output can take: in letters where it has them all, else with JSON's escapes."""
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    return json.dumps(document, indent=2, ensure_ascii=encoding != "utf8")
