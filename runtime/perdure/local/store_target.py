"""Which store a command speaks to: the one that is named, or the embedded one, started and migrated where need be."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["StoreTarget", "open_target"]


@dataclass(frozen=True, slots=True)
class StoreTarget:
    """A store. `ensure` starts it again, if it is ours, and is called when it does not answer.

    Attributes:
        embedded: whether it is the embedded one, which all projects of a person share.
    """

    url: str
    ensure: Callable[[], None]
    embedded: bool = False


@contextlib.contextmanager
def open_target(url: str | None, *, migrated: bool = True) -> Iterator[StoreTarget]:
    """The store of `url`, else of PERDURE_DATABASE_URL, else the embedded one, which runs while the context lasts.

    Args:
        url: a libpq URL, or none.
        migrated: give the embedded one this release's schema.

    Raises:
        StoreUnavailable: the embedded one cannot be started; the message explains what to do.
    """
    url = url or os.environ.get("PERDURE_DATABASE_URL")
    if url:
        yield StoreTarget(url, lambda: None)
        return
    from ..store.embedded.local_store import LocalStore

    store = LocalStore()
    try:
        store.ensure(migrated=migrated)
        yield StoreTarget(store.url, store.ensure, embedded=True)
    finally:
        store.close()
