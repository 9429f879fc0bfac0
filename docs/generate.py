"""Writes what of the documentation is made from other files: the tables of the API, and the licences of the image.

What stands outside of the marks in a page is written by hand and stays. `make docs` runs this, and a test sees that it
was run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docs import api, licences

__all__ = ["generated"]

_DOCS: Final = Path(__file__).resolve().parent
_BEGIN: Final = "<!-- Made from {}: make docs -->"
_END: Final = "<!-- End of what is made -->"

_PAGES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "api.md": ("the models of the API", api.tables),
    "licences.md": ("requirements/image.txt", licences.table),
}


def generated() -> dict[Path, str]:
    """The pages that are made in part, and their text.

    Raises:
        ValueError: a page has lost its marks, or a package its licence; the message names it.
    """
    return {_DOCS / name: _laid(_DOCS / name, source, make()) for name, (source, make) in _PAGES.items()}


def _laid(page: Path, source: str, made: str) -> str:
    begin = _BEGIN.format(source)
    before, found, rest = page.read_text().partition(begin)
    _, ended, after = rest.partition(_END)
    if not (found and ended):
        raise ValueError(f"{page} has no line '{begin}', or none '{_END}' below it")
    return f"{before}{begin}\n\n{made}\n{_END}{after}"


def main() -> None:
    """Write them."""
    for page, text in generated().items():
        page.write_text(text)


if __name__ == "__main__":
    main()
