"""`perdure postgres` and `perdure postgres restore`."""

from __future__ import annotations

import os
import sys

from ...errors import StoreError
from ...store.embedded.network_server import NetworkServer

__all__ = ["restore", "serve"]


def serve() -> int:
    """Run the server until it is told to stop."""
    return NetworkServer.parse(os.environ).run()


def restore() -> int:
    """Bring a dump into the server, which runs in another process.

    Raises:
        StoreError: something is not restored; what else there is in the dump is.
    """
    from ...store.embedded.network_restore import restore as restore_dump

    done = restore_dump(NetworkServer.parse(os.environ), sys.stdin.buffer)
    print("restored: " + ", ".join(("perdure", *done.of_logins)))
    wrong = [
        f"the schema {login} of the login of that name is empty: {reason}" for login, reason in done.failed.items()
    ]
    if done.left_out:
        names = ", ".join(done.left_out)
        wrong.append(
            f"no login of pods has the name of {names}: of what is a namespace's the operator makes the login when it"
            " starts; restore again after that"
        )
    if wrong:
        raise StoreError("\n".join(wrong))
    return 0
