"""How an attempt at something ended."""

from __future__ import annotations

import errno
import re
import urllib.error
from collections.abc import Callable
from typing import ParamSpec

import psycopg

__all__ = ["Told", "last_words", "outcome"]

P = ParamSpec("P")
Told = dict[str, str]


def outcome(attempt: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> str:
    """How it ended: by the code of its refusal, or with what it came to."""
    try:
        answer = attempt(*args, **kwargs)
    except psycopg.Error as error:
        return f"refused: {error.sqlstate or last_words(error)}"
    except urllib.error.HTTPError as error:
        return f"refused: HTTP {error.code}"
    except urllib.error.URLError as error:
        return f"refused: {_name(error.reason)}"
    except OSError as error:
        return f"refused: {_name(error)}"
    return f"done: {answer}"


def last_words(error: psycopg.Error) -> str:
    """What a server said that took no connection: drivers know no code of that."""
    found = re.findall(r"(?m)^.*(?:failed: |FATAL:  )(.+)$", str(error))
    return str(found[-1] if found else error)


def _name(error: object) -> str:
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, type(error).__name__)
