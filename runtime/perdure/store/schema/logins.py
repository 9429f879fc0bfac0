"""Logins of Postgres that are bound to a namespace: making, listing and locking them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from ...errors import StoreError, UsageError
from ..postgres.connection import parameters_of
from ..postgres.statements import statement
from .checked_connection import open_checked
from .closed_server import own_schema
from .role_changes import Connection, changing, set_password, told

__all__ = [
    "Binding",
    "Login",
    "Purpose",
    "add_login",
    "keep_login",
    "list_logins",
    "lock_login",
    "lock_others",
    "login_name",
    "login_url",
]

_TRIES = 5
"""Times that a role is changed whose sessions prevent it."""

_END_AGAIN = 0.1
"""Seconds from one look for such sessions to the next."""

_LONGEST = 63
"""Bytes that Postgres keeps of a name."""

_KEPT = ("sslmode", "sslnegotiation", "channel_binding", "target_session_attrs", "load_balance_hosts")
"""What of a URL holds for pods, too: files of certificates and keys are elsewhere there."""

T = TypeVar("T")


class Purpose(StrEnum):
    """The purpose of a login that is bound to a namespace."""

    PODS = "pods"
    """Its pods log in by it: it begins the namespace's runs."""

    READER = "reader"
    """It reads the namespace's runs."""

    LOCKED = "locked"
    """Nothing any more."""


@dataclass(frozen=True, slots=True)
class Binding:
    """What binds a login.

    Attributes:
        owner: of the namespace's runs: `cluster:` and the UID of kube-system, or the operator's `clusterId`.
    """

    login: str
    owner: str
    namespace: str
    purpose: Purpose


@dataclass(frozen=True, slots=True)
class Login:
    """A bound login as it is found.

    Attributes:
        may_log_in: whether the server lets it.
        locks: how often it was locked in this namespace.
    """

    binding: Binding
    may_log_in: bool
    locks: int


def login_name(namespace: str, pattern: str) -> str:
    """A login's name, by a pattern such as `{}_pods`, that no other namespace has: in a namespace is no underscore."""
    name = pattern.format(namespace.replace("-", "_"))
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(namespace.encode()).hexdigest()[:12]
    return f"{name[: _LONGEST - 1 - len(digest)]}_{digest}"


def login_url(url: str, login: str, password: str, host: str | None = None) -> str:
    """The URL of the same database for a login of pods, `host` being where these find the server.

    Raises:
        UsageError: `url` is no Postgres URL.
    """
    given = parameters_of(url)
    kept = {name: given[name] for name in _KEPT if name in given}
    if host is None and "/" in given.get("host", ""):
        # The folder of a Unix socket.
        kept["host"], host = given["host"], ""
        kept |= {"port": given["port"]} if "port" in given else {}
    at = _addresses(given.get("host", "localhost"), given.get("port", "")) if host is None else host
    query = f"?{urlencode(kept)}" if kept else ""
    return f"postgresql://{quote(login, '')}:{quote(password, '')}@{at}/{quote(given.get('dbname', ''), '')}{query}"


def add_login(
    url: str,
    binding: Binding,
    *,
    pod_role: str,
    password: str | None,
    again: bool = False,
    connection_limit: int | None = None,
) -> bool:
    """Make a login and bind it to a namespace, all or nothing; whether it is new.

    Args:
        url: of the database, with a login that owns the schema and may create roles.
        binding: the login, its namespace, and what for.
        pod_role: the role with the rights of pods, of which it becomes a member.
        password: None binds a login that exists, and leaves its password alone.
        again: it may exist, bound to this namespace, and gets this password.
        connection_limit: the most sessions that it may have at a time.

    Raises:
        UsageError: it exists and is not to be changed, or is bound to another namespace, or does not exist.
        StoreUnavailable, SchemaMismatch
        StoreError: the login of `url` may not do this.
    """
    if binding.login == pod_role:
        raise UsageError(
            f"{pod_role!r} is the role of all pods: its members could end the sessions of a login of that name"
        )
    with changing(url, f"make the login {binding.login!r}") as connection:
        new = not _exists(connection, binding.login)
        bound = _bindings(connection, binding.login)
        if password is None and new:
            raise UsageError(f"there is no login {binding.login!r}: an administrator makes it, or leave out --existing")
        if elsewhere := [one for one in bound if not _same_place(one, binding)]:
            raise UsageError(f"the login {binding.login!r} is bound to the namespace {elsewhere[0].namespace} already")
        if other := [one for one in bound if one.purpose not in (binding.purpose, Purpose.LOCKED)]:
            raise UsageError(f"the login {binding.login!r} is bound to this namespace already, for {other[0].purpose}")
        if password is not None and not new and not (again and bound):
            raise UsageError(
                f"there is a login {binding.login!r} already: --new-password gives it another password if it is bound"
                f" to {binding.namespace}, --existing binds it as it is, --login names another one"
            )
        _make(connection, binding, new=new, pod_role=pod_role, password=password)
        if connection_limit is not None:
            limit = sql.SQL("ALTER ROLE {} CONNECTION LIMIT {}")
            connection.execute(limit.format(sql.Identifier(binding.login), sql.Literal(connection_limit)))
    if again and not new:
        _end_sessions(url, [binding.login])
    return new


def keep_login(url: str, binding: Binding, *, pod_role: str, password: str) -> None:
    """Create or change a login, so that it has this binding, password and schema: for a server that is ours alone.

    Sessions that logged in by another password end. Settings that the login has made for itself are reset.

    Raises:
        As `add_login`, but for UsageError.
    """
    login = [binding.login]
    sessions_may_stay, _ = _despite_sessions(url, login, lambda: _keep(url, binding, pod_role, password))
    if not sessions_may_stay:
        _end_sessions(url, login)


def _keep(url: str, binding: Binding, pod_role: str, password: str) -> bool:
    """Whether its sessions may stay: they came by this password, or there are none."""
    with changing(url, f"make the login {binding.login!r}") as connection:
        new, same = not _exists(connection, binding.login), _has_password(connection, binding.login, password)
        _make(connection, binding, new=new, pod_role=pod_role, password=None if same else password)
        _reset_settings(connection, binding.login)
        own_schema(connection, binding.login)
    return new or same


def lock_login(url: str, login: str) -> int:
    """Have a bound login begin and read nothing any more, log in no more, and end its sessions; how many these were.

    Raises:
        UsageError: no login of this name is bound.
        StoreUnavailable, SchemaMismatch
        StoreError: the login of `url` may not do this.
    """
    with changing(url, f"lock the login {login!r}") as connection:
        if not _bindings(connection, login):
            raise UsageError(f"no login {login!r} is bound to a namespace; 'perdure logins list' shows those that are")
        _shut_out(connection, login)
    return _bar(url, [login])


def lock_others(url: str, owner: str, pattern: str, kept: Collection[str]) -> list[str]:
    """Lock the logins for pods that `login_name` has named by this pattern, but for those of the namespaces kept.

    Those of kept namespaces lose what they may do for the runs of another owner, as the cluster was called before.
    """
    with changing(url, "lock logins") as connection:
        ours = [
            one
            for one in _bindings(connection)
            if one.purpose is Purpose.PODS and one.login == login_name(one.namespace, pattern)
        ]
        locked = sorted({one.login for one in ours if one.namespace not in kept})
        for login in locked:
            _shut_out(connection, login)
        for login in {one.login for one in ours if one.namespace in kept}:
            _shut_out(connection, login, owner)
    if locked:
        _bar(url, locked)
    return locked


def list_logins(url: str) -> list[Login]:
    """The logins that are bound to a namespace, by name.

    Raises:
        StoreUnavailable, SchemaMismatch
        StoreError: the login of `url` may not read them.
    """
    try:
        with open_checked(url) as connection:
            return _logins(connection)
    except psycopg.Error as error:
        raise told(error, "list the logins") from error


def _logins(connection: Connection, login: str | None = None) -> list[Login]:
    rows = connection.execute(statement("bound_logins"), {"login": login}).fetchall()
    return [_login(*row) for row in rows]


def _login(
    login: object, owner: object, namespace: object, purpose: object, may_log_in: object, locks: object
) -> Login:
    binding = Binding(str(login), str(owner), str(namespace), Purpose(str(purpose)))
    return Login(binding, bool(may_log_in), int(str(locks)))


def _bindings(connection: Connection, login: str | None = None) -> list[Binding]:
    return [one.binding for one in _logins(connection, login)]


def _row(binding: Binding) -> dict[str, str]:
    return {
        "login": binding.login,
        "owner": binding.owner,
        "namespace": binding.namespace,
        "purpose": str(binding.purpose),
    }


def _same_place(one: Binding, other: Binding) -> bool:
    return (one.owner, one.namespace) == (other.owner, other.namespace)


def _exists(connection: Connection, login: str) -> bool:
    return connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone() is not None


def _has_password(connection: Connection, login: str, password: str) -> bool:
    """Whether a login may log in by this password (RFC 5803: iterations, salt, StoredKey and ServerKey)."""
    asked = "SELECT rolpassword FROM pg_authid WHERE rolname = %s AND rolcanlogin"
    row = connection.execute(asked, [login]).fetchone()
    stored = re.fullmatch(r"SCRAM-SHA-256\$(\d+):([^$]+)\$([^:]+):.+", str(row[0] if row else ""))
    if stored is None:
        return False
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(stored[2]), int(stored[1]))
    key = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    return hmac.compare_digest(key, base64.b64decode(stored[3]))


def _reset_settings(connection: Connection, login: str) -> None:
    """Reset the settings that a login may have made for itself: `default_transaction_read_only` keeps its pods out.

    Those that only a superuser may change stay, such as `temp_file_limit`.
    """
    for database, name in connection.execute(statement("own_settings"), {"login": login}).fetchall():
        where = sql.SQL("") if database is None else sql.SQL(" IN DATABASE {}").format(sql.Identifier(str(database)))
        change = sql.SQL("ALTER ROLE {}{} RESET {}")
        connection.execute(change.format(sql.Identifier(login), where, sql.Identifier(*str(name).split("."))))


def _make(connection: Connection, binding: Binding, *, new: bool, pod_role: str, password: str | None) -> None:
    if new:
        connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(binding.login)))
    if password is not None:
        set_password(connection, binding.login, password)
    member = "SELECT pg_has_role(%s, %s, 'MEMBER')"
    if connection.execute(member, [binding.login, pod_role]).fetchone() != (True,):
        grant = sql.SQL("GRANT {} TO {}")
        connection.execute(grant.format(sql.Identifier(pod_role), sql.Identifier(binding.login)))
    connection.execute(statement("bind_login"), _row(binding))


def _shut_out(connection: Connection, login: str, but_owner: str | None = None) -> None:
    """Have a login begin and read nothing from now on, but for the runs of one owner if that is named.

    In a transaction before the one that changes the role: a login may hold its own row of the server's roles locked, or
    the caller may not change it. What the login could do with Perdure ends all the same.
    """
    connection.execute(statement("lock_login"), {"login": login, "but_owner": but_owner})


def _bar(url: str, logins: list[str]) -> int:
    """Have logins log in no more, and end their sessions; how many these were.

    Raises:
        StoreError: one of both was refused; the other is done.
    """
    ended, refusal = 0, None
    try:
        _, ended = _despite_sessions(url, logins, lambda: _forbid(url, logins))
    except StoreError as error:
        refusal = error
    ended += _end_sessions(url, logins)
    if refusal is not None:
        raise refusal
    return ended


def _forbid(url: str, logins: list[str]) -> None:
    with changing(url, f"bar {', '.join(logins)}") as connection:
        for login in logins:
            if _exists(connection, login):
                connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))


def _despite_sessions(url: str, logins: list[str], change: Callable[[], T]) -> tuple[T, int]:
    """Change roles, ending their sessions where these prevent it; what `change` returned, and how many sessions ended.

    A login that changes its own role in an open transaction holds the role's row locked, and more of its sessions may
    wait in line for that. So they are ended while `change` waits: those that come then are behind it.
    """
    try:
        return change(), 0
    except StoreError:
        pass
    changed = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(_end_sessions_until, changed, url, logins)
        try:
            result = _insist(change)
        finally:
            changed.set()
    return result, ended.result()


def _insist(change: Callable[[], T]) -> T:
    """Postgres also refuses a change that another one has overtaken, with an error."""
    for _ in range(_TRIES - 1):
        try:
            return change()
        except StoreError:
            continue
    return change()


def _end_sessions_until(changed: threading.Event, url: str, logins: list[str]) -> int:
    ended = _end_sessions(url, logins)
    while not changed.wait(_END_AGAIN):
        ended += _end_sessions(url, logins)
    return ended


def _end_sessions(url: str, logins: list[str]) -> int:
    """Once nothing lets them in any more."""
    try:
        with open_checked(url) as connection:
            return connection.execute(statement("end_sessions"), {"logins": logins}).rowcount
    except psycopg.Error as error:
        raise told(error, f"end the sessions of {', '.join(logins)}") from error


def _addresses(hosts: str, ports: str) -> str:
    named, numbers = hosts.split(","), ports.split(",")
    if len(numbers) == 1:
        numbers *= len(named)
    return ",".join(
        f"{f'[{host}]' if ':' in host else host}{f':{port}' if port else ''}"
        for host, port in zip(named, numbers, strict=True)
    )
