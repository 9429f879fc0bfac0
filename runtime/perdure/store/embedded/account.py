"""Which account the embedded server runs under when root starts it, since Postgres refuses to run as root.

The server gets a user id of its own, so nothing is added to the machine's accounts and the data are
not shared with a service. Folders on the way to it keep their permissions (root's home stays closed): where they bar
the way, the server keeps one capability, to pass them. For every other user, the server runs as that user.

Standard library only: the keeper imports this. Capabilities are Linux's; elsewhere the way has to be open.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

__all__ = ["Account", "AccountUnusable", "die_with_parent", "server_account"]

# In the range that systemd's list of user ids (https://systemd.io/UIDS-GIDS) leaves unused, and below 65536, which is
# as far as the namespaces of most containers go.
_SERVER_ID = 60918

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2

# Loaded before any fork: a child should do as little as it can.
_LIBC = ctypes.CDLL(None, use_errno=True)


class AccountUnusable(Exception):
    """The server cannot run under an account of its own; the message explains why."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a child process becomes, and which capability it keeps."""

    uid: int
    gid: int
    capability: int | None = None

    def become(self) -> None:
        """Turn this process, which is root's, into the account's, for good."""
        os.setgroups([])
        os.setgid(self.gid)
        if self.capability is not None:
            _prctl(_PR_SET_KEEPCAPS, 1)
        os.setuid(self.uid)
        if self.capability is not None:
            _keep_only(self.capability)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """See with the account's eyes: root in a container may not look into other users' processes."""
        os.setegid(self.gid)
        os.seteuid(self.uid)
        try:
            yield
        finally:
            os.seteuid(0)
            os.setegid(0)

    def with_name(self) -> Account:
        """An account that has an entry in the user database, which initdb demands. The result is handed over after."""
        try:
            named = pwd.getpwnam("nobody")
        except KeyError:
            ordinary = [entry for entry in pwd.getpwall() if entry.pw_uid != 0]
            if not ordinary:
                raise AccountUnusable("the user database (/etc/passwd) has no entry besides root's") from None
            named = ordinary[0]
        return replace(self, uid=named.pw_uid, gid=named.pw_gid)


def server_account(program: str, folders: list[str]) -> Account | None:
    """The account for the server, which has to run `program` and pass `folders`; None: the one it is started from.

    Raises AccountUnusable.
    """
    if os.geteuid() != 0:
        return None
    plain = Account(_SERVER_ID, _SERVER_ID)
    reached = _reaches(plain, program, folders)
    if reached or not sys.platform.startswith("linux"):
        chosen = plain if reached else None
    else:
        kept = (replace(plain, capability=number) for number in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE))
        chosen = next((account for account in kept if _reaches(account, program, folders)), None)
    if chosen is None:
        raise AccountUnusable(
            f"Postgres refuses to run as root, and user id {_SERVER_ID}, under which root would start it, cannot be"
            f" taken or cannot reach {', '.join([program, *folders])}"
        )
    return chosen


def die_with_parent(number: int) -> None:
    """Have the kernel send this process the signal when its parent dies. Linux only; nothing elsewhere.

    To be called after `Account.become`, which would clear it.
    """
    if sys.platform.startswith("linux"):
        _prctl(_PR_SET_PDEATHSIG, number)


def _reaches(account: Account, program: str, folders: list[str]) -> bool:
    """Try it out: access(2) would answer for a process without capabilities."""
    child = os.fork()
    if child == 0:
        try:
            account.become()
            for folder in folders:
                os.stat(os.path.join(folder, "."))
            nowhere = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(nowhere, descriptor)
            os.execv(program, [program, "--version"])  # noqa: S606
        except BaseException:  # noqa: BLE001 - no error may unwind into a second parent
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def _prctl(option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if _LIBC.prctl(ctypes.c_int(option), *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def _keep_only(capability: int) -> None:
    """Reduce the capabilities to one, and let it outlive the exec of a program of an ordinary user (ambient)."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    bit = 1 << capability
    # Effective, permitted, inheritable of the lower 32 capabilities; then of the upper 32.
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    if _LIBC.capset(header, data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"capset: {os.strerror(number)}")
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)
