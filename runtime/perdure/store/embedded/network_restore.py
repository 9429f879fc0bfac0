"""A dump of the database of `network_server`, brought back into it, whoever has written what is in there.

A dump's constraints and generated columns are run by the role that restores it. So the schema `perdure`, in which only
the owner makes anything, is restored by the owner; and the schema of each login of pods, in which that login may have
made whatever it liked, by a role that is made for it, owns nothing else and goes afterwards.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from typing import IO

import psycopg
from psycopg import sql

from ...errors import StoreError
from ..postgres.connection import connect, translated
from ..schema.closed_server import CLOSING
from ..schema.role_changes import set_password
from .embedded import postgres_install
from .network_server import DATABASE, OWNER, POD_ROLE, NetworkServer

__all__ = ["Restored", "restore"]

_SCHEMA = re.compile(r"(?m)^\d+; 2615 \d+ SCHEMA - (.+) \S+$")
"""Of `pg_restore --list`: 2615 is the table of schemas. Lines hold no line breaks of names."""

_META = re.compile(r"(?m)^\d+; 1259 \d+ TABLE perdure meta ")
_DEFAULT_RIGHTS = re.compile(r"(?m)^\d+; 826 .*\n")
"""Any login may set these in any schema, another login's among them, for what it would make there itself."""

_OURS = "perdure"


@dataclass(frozen=True, slots=True)
class Restored:
    """Names of the schemas in a dump, by what became of them.

    Attributes:
        of_logins: they belong to their logins again.
        failed: those of logins that could not be restored, with the reason; they are empty.
        left_out: they belong to no login that is a member of the pods' role.
    """

    of_logins: tuple[str, ...]
    failed: dict[str, str]
    left_out: tuple[str, ...]


def restore(server: NetworkServer, dump: IO[bytes]) -> Restored:
    """Replace the database of a server that runs by what a dump of `pg_dump --format custom` holds.

    What is no whole dump of a store is found out before anything changes.

    Raises:
        StoreError: it cannot be restored; found out late, that leaves the database without our schema, or a part of it,
            and closed to pods.
        StoreUnavailable: the server does not answer.
    """
    # On the volume of the data: there is room for what becomes of it, too.
    with (
        tempfile.NamedTemporaryFile(dir=server.data.parent, prefix="restored-") as file,
        tempfile.NamedTemporaryFile("w", dir=server.data.parent, prefix="restored-", encoding="utf-8") as wanted,
    ):
        shutil.copyfileobj(dump, file)
        file.flush()
        try:
            return _Restore(server, file.name, wanted).run()
        except psycopg.Error as error:
            raise translated(error, "restore the dump") from error


@dataclass(frozen=True, slots=True)
class _Restore:
    """One dump, in a file, and the server that it goes to; `wanted` is for the list of what is restored of it."""

    server: NetworkServer
    file: str
    wanted: IO[str]

    def run(self) -> Restored:
        """Restore all that may be, and tell what it was."""
        listed = self._pg_restore("--list")
        found = [name for name in _SCHEMA.findall(listed) if name not in (_OURS, "public")]
        if _META.search(listed) is None:
            raise StoreError("this dump holds no store: nothing was changed")
        try:
            self._pg_restore(f"--file={os.devnull}")
        except StoreError as error:
            raise StoreError(f"this dump is not whole, and nothing was changed: {error}") from error
        # Nobody's rights to those of another login would do, and for want of them that login's schema would be empty.
        self.wanted.write(_DEFAULT_RIGHTS.sub("", listed))
        self.wanted.flush()
        with connect(self._url("postgres")) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {DATABASE} TEMPLATE template0")
            # Pods would take all connections, and those that restore are no superusers.
            connection.execute(f"REVOKE CONNECT ON DATABASE {DATABASE} FROM PUBLIC")
        with connect(self._url(DATABASE)) as connection:
            # Before a tenant's code runs.
            connection.execute(CLOSING)
            connection.execute(f"CREATE SCHEMA {_OURS}")
            self._pg_restore(f"--schema={_OURS}", role=OWNER, password=self.server.password)
            # A right on the schema itself is no part of it.
            connection.execute(f"GRANT USAGE ON SCHEMA {_OURS} TO {POD_ROLE}")
            logins = self._logins(connection)
            failed = {}
            for login in (name for name in found if name in logins):
                try:
                    self._restore_schema(connection, login)
                except StoreError as error:
                    failed[login] = str(error)
            connection.execute(f"GRANT CONNECT ON DATABASE {DATABASE} TO PUBLIC")
        done = tuple(name for name in found if name in logins and name not in failed)
        return Restored(done, failed, tuple(name for name in found if name not in logins))

    def _logins(self, connection: psycopg.Connection[tuple[object, ...]]) -> set[str]:
        """The members of the pods' role, those that are locked among them."""
        members = "SELECT rolname FROM pg_roles WHERE NOT rolsuper AND rolname <> %s AND pg_has_role(oid, %s, 'MEMBER')"
        return {str(name) for (name,) in connection.execute(members, [POD_ROLE, POD_ROLE]).fetchall()}

    def _restore_schema(self, connection: psycopg.Connection[tuple[object, ...]], login: str) -> None:
        """Restore the schema of a login by a role of its own, and give all of it to the login.

        It is the login's in the end, though empty, if this fails.
        """
        name, password = f"perdure_restores_{secrets.token_hex(4)}", secrets.token_urlsafe(24)
        role, of_login = sql.Identifier(name), sql.Identifier(login)
        connection.execute(sql.SQL("CREATE ROLE {}").format(role))
        set_password(connection, name, password)
        connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(DATABASE), role))
        connection.execute(sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(of_login, role))
        try:
            # Grants and policies name the login; its objects are to be its own, which the role may not give away.
            self._pg_restore(f"--schema={login}", "--no-owner", "--single-transaction", role=name, password=password)
        finally:
            # Nothing of the tenant's runs from here on, though its code may know the role's password by now.
            connection.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(role))
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s", [name]
            )
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO {}").format(role, of_login))
            connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
            connection.execute(sql.SQL("DROP ROLE {}").format(role))

    def _url(self, database: str) -> str:
        return psycopg.conninfo.make_conninfo(
            host="127.0.0.1", port=self.server.port, user=OWNER, password=self.server.password, dbname=database
        )

    def _pg_restore(self, *how: str, role: str = "", password: str = "") -> str:
        """What it printed: with a role, it restores into the database.

        Raises:
            StoreError: it failed; with its last words.
        """
        environment = {"PATH": os.environ.get("PATH", ""), "PGHOST": "127.0.0.1", "PGPORT": str(self.server.port)}
        into = []
        if role:
            environment |= {"PGUSER": role, "PGPASSWORD": password}
            into = ["--exit-on-error", f"--dbname={DATABASE}", f"--use-list={self.wanted.name}"]
        command = [os.path.join(postgres_install(), "bin", "pg_restore"), *how, *into, self.file]
        done = subprocess.run(
            command, env=environment, capture_output=True, encoding="utf-8", errors="replace", check=False
        )
        if done.returncode != 0:
            # A tenant's code may have written it.
            words = " ".join(done.stderr.split())[:1000]
            raise StoreError("".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in words))
        return done.stdout
