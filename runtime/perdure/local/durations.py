"""Moments and lengths of time, as people write them on a command line and read them there."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from ..errors import UsageError

__all__ = ["age", "duration", "moment"]

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def age(text: str, option: str) -> timedelta:
    """A length of time: 90s, 30m, 24h, 7d, 2w.

    Raises:
        UsageError: it is none; the message names the option.
    """
    if (found := _AGE.fullmatch(text.strip())) is None:
        raise UsageError(f"{option} {text!r} is no length of time; write 90s, 30m, 24h, 7d or 2w")
    try:
        return timedelta(**{_UNITS[found[2]]: float(found[1])})
    except OverflowError as error:
        raise UsageError(f"{option} {text!r} is longer than the calendar") from error


def moment(text: str, option: str, now: datetime) -> datetime:
    """A moment: an age before `now`, or an ISO date or time, of this machine's time zone where it names none.

    Raises:
        UsageError: it is neither; the message names the option.
    """
    try:
        if _AGE.fullmatch(text.strip()):
            return now - age(text, option)
        return datetime.fromisoformat(text.strip()).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{option} {text!r} is no time; write an age (90s, 30m, 24h, 7d) or 2026-01-31T12:00"
        ) from error


def duration(seconds: float) -> str:
    """Seconds, as people write them: 12 ms, 3.4 s, 2 min 5 s, 3 h 2 min."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
