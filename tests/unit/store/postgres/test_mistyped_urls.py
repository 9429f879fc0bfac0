"""A URL that is mistyped is refused in words that hold nothing of its password, in whatever place the slip is."""

from __future__ import annotations

import os
import subprocess
import sys
import traceback
from uuid import uuid4

import pytest

from perdure.cli.main import main
from perdure.errors import UsageError
from perdure.store.postgres.connection import conninfo, parameters_of
from perdure.store.schema.logins import login_url

FIRST, LAST = "geheim", "kennwort"
ENDINGS = "@db.example:5432/perdure"
MISTYPED = [
    *(f"postgresql://team:{FIRST}{slip}{LAST}{ENDINGS}" for slip in ("/", "@", "%", " ", "//", "/?", "@@", '"/', '"%')),
    f"postgresql://team:4711/{LAST}{ENDINGS}",
    f"postgresql://team:4711/{LAST}?sslmode={FIRST}{ENDINGS}",
    f"postgresql://team:{FIRST}/?{LAST}{ENDINGS}",
    f"postgresql://team:{FIRST}/?a={LAST}{ENDINGS}",
    f"postgresql://team:x@db.example:5432:{FIRST}/{LAST}",
    f"postgresql://team:x@db.example/perdure?password={FIRST}%zz{LAST}",
    f"postgressql://team:{FIRST}{LAST}{ENDINGS}",
    f"team:{FIRST}{LAST}{ENDINGS}",
    f"host=db.example password={FIRST} {LAST} user=team",
    f"host=db.example password='{FIRST}{LAST} user=team",
]


def said(url: str) -> str:
    """Whatever a log would hold of it."""
    with pytest.raises(UsageError, match="the database URL cannot be read") as raised:
        conninfo(url)
    return "".join(traceback.format_exception(raised.value, limit=0)) + str(raised.value)


@pytest.mark.parametrize("url", MISTYPED)
def test_its_password_is_not_told(url: str) -> None:
    told = said(url)
    assert not [part for part in (FIRST, LAST, "4711") if part in told], told
    assert "/ as %2F" in told


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://team:{FIRST}%2F%40{LAST}@db.example:5432/perdure",
        "postgresql://a@one,two:5433/perdure?target_session_attrs=read-write",
        "postgresql://a@one:5432,two:5433/perdure",
        "postgresql://team@/at%40home?host=%2Frun%2Fpostgres",
        "host=@abstract dbname=perdure",
        "",
    ],
)
def test_what_can_be_read_is_taken(url: str) -> None:
    assert parameters_of(conninfo(url)) | parameters_of(url) == parameters_of(conninfo(url))


@pytest.mark.parametrize("command", [["restored"], ["logins", "list"], ["list"]])
def test_a_command_tells_none_of_it(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for url in MISTYPED:
        assert main([*command, "--database-url", url]) == 64
        told = capsys.readouterr()
        assert "the database URL cannot be read" in told.err
        assert not [part for part in (FIRST, LAST, "4711") if part in told.err + told.out], told


@pytest.mark.parametrize("url", [MISTYPED[0], MISTYPED[1], MISTYPED[2]])
def test_a_pod_tells_none_of_it(url: str) -> None:
    told = {"PERDURE_DATABASE_URL": url, "PERDURE_RUN_ID": str(uuid4()), "PERDURE_CLAIM": str(uuid4())}
    command = [sys.executable, "-m", "perdure.cli", "exec"]
    done = subprocess.run(command, env=os.environ | told, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 64
    assert done.stderr.startswith("perdure exec: the database URL cannot be read")
    assert not [part for part in (FIRST, LAST) if part in done.stderr + done.stdout]


def test_nor_does_what_is_made_of_it() -> None:
    for url in MISTYPED:
        with pytest.raises(UsageError, match="cannot be read") as raised:
            login_url(url, "team", "x")
        assert FIRST not in str(raised.value)
