"""Ages and times as people write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from perdure.errors import UsageError
from perdure.local.durations import age, duration, moment


@pytest.mark.parametrize(
    ("text", "seconds"), [("0s", 0), ("90s", 90), ("1.5m", 90), ("2h", 7200), ("7d", 604800), ("1w", 604800)]
)
def test_an_age(text: str, seconds: float) -> None:
    assert age(text, "--x") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "7 days", "1e3s", "999999999999d"])
def test_what_is_no_age(text: str) -> None:
    with pytest.raises(UsageError, match="--x"):
        age(text, "--x")


def test_a_moment() -> None:
    now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    assert moment("30m", "--x", now) == now - timedelta(minutes=30)
    assert moment("2026-01-30T12:00:00+00:00", "--x", now) == datetime(2026, 1, 30, 12, tzinfo=UTC)
    assert moment("2026-01-30", "--x", now).tzinfo is not None
    for text in ("yesterday", "999999999d"):
        with pytest.raises(UsageError, match="--x"):
            moment(text, "--x", now)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0123, "12 ms"), (1.04, "1.0 s"), (59.9, "59.9 s"), (125, "2 min 5 s"), (10920, "3 h 2 min")],
)
def test_a_duration(seconds: float, text: str) -> None:
    assert duration(seconds) == text
