"""Exceptions of libraries that people use in steps, raised by the real thing and handled on replay."""

from __future__ import annotations

import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import HTTPError

import psycopg
import pytest
import requests

from tests.harness.databases import Database
from tests.harness.replayed import caught


@pytest.fixture
def not_found() -> Iterator[str]:
    """The address of a server that has nothing."""

    class Nothing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/x"
        server.shutdown()
        thread.join()


def test_requests(not_found: str) -> None:
    error = caught(lambda: requests.get(not_found, timeout=5).raise_for_status())

    assert isinstance(error, requests.HTTPError)
    assert str(error).startswith("404 Client Error")
    with pytest.raises(AttributeError, match="'response' of this HTTPError was not kept; it was a Response"):
        error.response.status_code  # type: ignore[union-attr]  # noqa: B018


def test_requests_that_reach_nobody() -> None:
    error = caught(lambda: requests.get("http://127.0.0.1:9/", timeout=5))

    assert isinstance(error, requests.ConnectionError)
    assert isinstance(error, OSError)


def test_urllib(not_found: str) -> None:
    def fetch() -> None:
        try:
            urllib.request.urlopen(not_found, timeout=5)
        except HTTPError as error:
            # It holds the connection, which nobody will close after it was recorded.
            error.close()
            raise

    error = caught(fetch)

    assert isinstance(error, HTTPError)
    assert (error.code, error.msg, error.url) == (404, "Not Found", not_found)
    with pytest.raises(AttributeError, match="not kept"):
        error.headers  # noqa: B018


def test_psycopg(database: Database) -> None:
    def collide() -> None:
        with psycopg.connect(database.url) as connection:
            connection.execute("CREATE TABLE one (number int CONSTRAINT only_one PRIMARY KEY)")
            connection.execute("INSERT INTO one VALUES (1), (1)")

    error = caught(collide)

    assert isinstance(error, psycopg.errors.UniqueViolation)
    assert (error.sqlstate, error.diag.constraint_name, error.diag.table_name) == ("23505", "only_one", "one")
    assert error.diag.message_detail == "Key (number)=(1) already exists."


def test_psycopg_without_a_server() -> None:
    error = caught(lambda: psycopg.connect("postgresql://127.0.0.1:9/none"))

    assert isinstance(error, psycopg.OperationalError)
    assert error.diag.sqlstate is None


def test_sqlalchemy(database: Database) -> None:
    import sqlalchemy

    def collide() -> None:
        engine = sqlalchemy.create_engine(database.url.replace("postgresql://", "postgresql+psycopg://"))
        try:
            with engine.begin() as connection:
                connection.execute(sqlalchemy.text("CREATE TABLE one (number int CONSTRAINT only_one PRIMARY KEY)"))
                connection.execute(sqlalchemy.text("INSERT INTO one VALUES (:one), (:one)"), {"one": 1})
        finally:
            engine.dispose()

    error = caught(collide)

    assert isinstance(error, sqlalchemy.exc.IntegrityError)
    assert isinstance(error.orig, psycopg.errors.UniqueViolation)
    assert error.orig.diag.constraint_name == "only_one"
    assert error.params == {"one": 1}
    assert str(error.statement).startswith("INSERT INTO one VALUES")
