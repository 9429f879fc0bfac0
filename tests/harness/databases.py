"""Databases on a Server, made in a few hundredths of a second from a migrated template."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from .postgres import SUPERUSER, Server


@dataclass(frozen=True, slots=True)
class Database:
    """One database of a server."""

    server: Server
    name: str

    @property
    def url(self) -> str:
        """A libpq URL as its owner, a superuser."""
        return self.server.url(self.name)

    def url_as(self, role: str) -> str:
        """A libpq URL as another role."""
        return self.server.url(self.name, role)

    def connect(self, role: str = SUPERUSER, **options: Any) -> psycopg.Connection:
        """A connection in autocommit mode."""
        return self.server.connect(self.name, role, **options)

    def query(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Execute one statement as superuser; its rows, if it has any."""
        return self.server.query(statement, *arguments, database=self.name)


class Databases:
    """Makes databases on one server. The template is migrated once, when the first one is asked for."""

    def __init__(self, server: Server, migrate: Callable[[str], object], *, template: str = "migrated") -> None:
        self.server = server
        self._template = template
        self._migrate = migrate
        self._numbers = itertools.count(1)
        self._migrated = False

    def new(self) -> Database:
        """A fresh migrated database."""
        if not self._migrated:
            self.server.create_database(self._template)
            try:
                self._migrate(self.server.url(self._template))
            except BaseException:
                self.server.drop_database(self._template)
                raise
            # Nobody may connect to a database while it is copied.
            self.server.query(f"ALTER DATABASE {self._template} ALLOW_CONNECTIONS false")
            self.server.terminate(self._template)
            self._migrated = True
        return self._new(self._template)

    def empty(self) -> Database:
        """A fresh database with nothing in it, for tests of migrations."""
        return self._new("template1")

    def _new(self, template: str) -> Database:
        name = f"{self._template}_{next(self._numbers)}"
        self.server.create_database(name, template=template)
        return Database(self.server, name)

    def drop(self, database: Database) -> None:
        self.server.drop_database(database.name)
