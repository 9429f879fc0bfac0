"""`perdure worker`: claim runs of a queue and run them in this process, until it is stopped."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from ... import log_fields
from ...definitions import registered
from ...entrypoints import import_module, locate
from ...errors import EntrypointError
from ...worker import Worker

__all__ = ["worker"]


def worker(arguments: Namespace) -> int:
    """Work until stopped."""
    log_fields.install()
    for place in arguments.modules:
        import_module(locate(place))
    if not registered():
        raise EntrypointError(f"no function in {', '.join(arguments.modules)} is marked @workflow")
    given = {"concurrency": arguments.concurrency, "max_connections": arguments.max_connections}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    worker = Worker(arguments.database_url, queue=arguments.queue, local=True, **options)
    sys.stderr.write(f"perdure: working on queue {arguments.queue!r}: {', '.join(sorted(registered()))}\n")
    worker.run()
    return 0
