"""Writes what of the documentation is made from other files: the API's tables, the image's licences, the architecture.

What stands outside of the marks in a page is written by hand and stays. `make docs` runs this, and a test sees that it
was run.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from docs import api, licences
from docs.structure import pages

__all__ = ["generated"]

_DOCS: Final = Path(__file__).resolve().parent
_BEGIN: Final = "<!-- Made from {}: make docs -->"
_END: Final = "<!-- End of what is made -->"

_PAGES: Final[dict[str, tuple[str, Callable[[], str]]]] = {
    "api.md": ("the models of the API", api.tables),
    "architecture.md": ("docs/structure/walks.py", pages.walks),
    "licences.md": ("requirements/image.txt", licences.table),
}

_FILES: Final[dict[str, Callable[[], str]]] = {"architecture.svg": pages.drawing}
"""Made as a whole."""


def generated() -> dict[Path, str]:
    """The files that are made, in part or as a whole, and their text.

    Raises:
        ValueError: a page has lost its marks, a package its licence, or a module its room; the message names it.
    """
    made = {_DOCS / name: _laid(_DOCS / name, source, make()) for name, (source, make) in _PAGES.items()}
    return made | {_DOCS / name: make() for name, make in _FILES.items()}


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
