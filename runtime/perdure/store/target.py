"""Which store an application uses: the one that it names, its environment's, or the embedded one on request."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .postgres.connection import database_url

if TYPE_CHECKING:
    from .embedded.local_store import LocalStore

__all__ = ["store_of"]


def store_of(url: str | None, *, local: bool) -> tuple[str, LocalStore | None]:
    """The URL of the store, and the embedded database if it is that one, which the caller is to `ensure` and close.

    Raises:
        UsageError: no store is named, and the embedded one is not allowed.
    """
    if local and not url and not os.environ.get("PERDURE_DATABASE_URL"):
        from .embedded.local_store import LocalStore

        store = LocalStore()
        return store.url, store
    return database_url(url), None
