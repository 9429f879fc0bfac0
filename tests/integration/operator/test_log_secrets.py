"""However much the operator logs, it logs no claim, token or password."""

from __future__ import annotations

import signal
from typing import Any
from urllib.parse import quote
from uuid import UUID

from psycopg.conninfo import conninfo_to_dict

from tests.harness.databases import Database
from tests.harness.eventually import eventually

from .scene import GREETING, Scene

PASSWORD = "password-of-the-owner"

SLOW = """
import time

from perdure import step, step_context, workflow

@step
def pause() -> int:
    time.sleep(0.05)
    return step_context().attempt

@workflow
def main(name: str) -> str:
    while pause() == 1:
        pass
    return f"hello {name}"
"""


def with_password(database: Database) -> str:
    """The database's URL with a password, for which the server does not ask."""
    given = conninfo_to_dict(database.url)
    return database.url.replace(f"//{quote(str(given['user']))}@", f"//{given['user']}:{PASSWORD}@")


def secrets_of(database: Database) -> dict[str, str]:
    """What is in the store that opens something, or was derived from what does."""
    found = {"the password": PASSWORD}
    for table, columns in {"attempts": ("claim", "token"), "runs": ("claim", "token", "process", "seed")}.items():
        for column in columns:
            rows = database.query(f"SELECT {column} FROM perdure.{table} WHERE {column} IS NOT NULL")
            found |= {f"{column} {number} of {table}": str(value) for number, (value,) in enumerate(rows)}
    return found


def shown(secrets: dict[str, str], text: str) -> list[str]:
    """The names of those that a text shows, written in either way."""

    def ways(secret: str) -> list[str]:
        return [secret] if secret == PASSWORD else [secret, UUID(secret).hex]

    return [name for name, secret in secrets.items() if any(way in text for way in ways(secret))]


def test_at_debug_it_shows_no_secret_of_an_attempt(start_operator: Any, scene: Scene, database: Database) -> None:
    operator = start_operator(url=with_password(database), log_level="DEBUG")
    uid = scene.apply("crashes", SLOW)
    scene.apply("cancelled", SLOW)
    scene.apply("invalid", GREETING, input={"names": 1})
    first = scene.until_pod(of="crashes")
    assert PASSWORD in str(first), "the pod is given the URL, which is to be no other"
    child = scene.play(first)
    eventually(lambda: database.query("SELECT token FROM perdure.runs WHERE token IS NOT NULL"), deadline=20)
    secrets = secrets_of(database)
    child.signal(signal.SIGKILL)
    scene.tell_end(first, child.wait(5))

    running = scene.play(scene.until_pod(of="cancelled"))
    eventually(lambda: database.query("SELECT 1 FROM perdure.runs WHERE name = 'cancelled' AND begun"), deadline=20)
    secrets |= {f"{name}, later": secret for name, secret in secrets_of(database).items()}
    database.server.terminate(database.name)  # the operator and the pod lose their sessions, and say so
    scene.change("cancelled", cancel=True)
    scene.tell_end(scene.until_pod(of="cancelled"), running.wait(30))

    assert scene.play_to_the_end(scene.until_pod(2, of="crashes", deadline=30)) == 0
    assert scene.until_phase("Succeeded", "crashes")["result"] == "hello you"
    scene.until_phase("Cancelled", "cancelled")
    secrets |= {f"{name}, at last": secret for name, secret in secrets_of(database).items()}
    assert len(set(secrets.values())) >= 9

    log = operator.child.errors
    assert any(line["level"] == "debug" for line in operator.log), "it says all that it can say"
    assert uid in log
    assert shown(secrets, log) == []
