"""`perdure worker`: claim runs of a queue and run them in this process, until it is stopped."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from ..definitions import registered
from ..entrypoints import import_module, locate
from ..errors import EntrypointError
from ..worker import Worker
from .place import open_place

__all__ = ["worker"]


def worker(arguments: Namespace) -> int:
    """Work until stopped."""
    for place in arguments.modules:
        import_module(locate(place))
    if not registered():
        raise EntrypointError(f"no function in {', '.join(arguments.modules)} is marked @workflow")
    given = {"concurrency": arguments.concurrency, "max_connections": arguments.max_connections}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    with open_place(arguments.database_url) as place:
        sys.stderr.write(f"perdure: working on queue {arguments.queue!r}: {', '.join(sorted(registered()))}\n")
        Worker(place.url, queue=arguments.queue, **options).run()
    return 0
