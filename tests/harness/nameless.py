"""A user with a number that nobody knows by name, as platforms give them to pods."""

from __future__ import annotations

from pathlib import Path

__all__ = ["NUMBER", "nameless"]

NUMBER = 1_000_650_000
_MOUNT = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'


def nameless(users: Path | None = None) -> list[str]:
    """What stands before a command to run it as that user, in root's group; `users` takes the place of /etc/passwd.

    Files that are this process's user's are that user's there.
    """
    user = ["unshare", "--user", f"--map-user={NUMBER}", "--map-group=0", "--"]
    if users is None:
        return user
    return ["unshare", "--map-root-user", "--mount", "--", "sh", "-c", _MOUNT, "sh", str(users), *user]
