"""How the installed Postgres makes its data folders and runs, alike for one person's machine and on the network.

Imported by the keeper: standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

__all__ = ["INITDB", "SETTINGS", "options_of"]

INITDB: Final = (
    "--encoding=UTF8",
    # Postgres's own collation: the system's would change its order with the next C library.
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
"""Options of initdb, besides who owns the folder and who is let in."""

SETTINGS: Final[Mapping[str, str]] = {
    "huge_pages": "off",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
"""Settings of the server, besides its addresses and its limits."""


def options_of(settings: Mapping[str, str]) -> list[str]:
    """Arguments of `postgres` that win over the files in its data folder: they change with the version of Perdure."""
    return [part for name, value in {**SETTINGS, **settings}.items() for part in ("-c", f"{name}={value}")]
