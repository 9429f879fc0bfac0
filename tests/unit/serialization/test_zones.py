"""Datetimes and times keep what they do: their zone over the changes of its clocks, and their fold."""

from __future__ import annotations

import datetime
import zoneinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perdure.serialization.zones import fixed_offset, is_beyond_pydantic, read_moment, write_moment, zone_difference

BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")
HOUR = datetime.timedelta(hours=1)

aware_or_naive = st.datetimes(
    allow_imaginary=True, timezones=st.none() | st.timezones() | st.just(datetime.UTC) | st.just(BERLIN)
)


def moment(*parts: int, fold: int = 0) -> datetime.datetime:
    return datetime.datetime(*parts, tzinfo=BERLIN, fold=fold)  # type: ignore[misc, arg-type]


@given(aware_or_naive, st.sampled_from([0, 1]))
def test_a_datetime_comes_back_with_its_zone_and_its_fold(one: datetime.datetime, fold: int) -> None:
    one = one.replace(fold=fold)
    again = read_moment(datetime.datetime, write_moment(one))
    assert again.replace(tzinfo=None) == one.replace(tzinfo=None)
    assert (again.fold, again.utcoffset()) == (fold, one.utcoffset())
    assert zone_difference(one.tzinfo, again.tzinfo) is None


@given(st.times(timezones=st.none() | st.timezones() | st.just(datetime.UTC)), st.sampled_from([0, 1]))
def test_a_time_comes_back_with_its_zone_and_its_fold(one: datetime.time, fold: int) -> None:
    one = one.replace(fold=fold)
    again = read_moment(datetime.time, write_moment(one))
    assert again.replace(tzinfo=None) == one.replace(tzinfo=None)
    assert again.fold == fold
    assert zone_difference(one.tzinfo, again.tzinfo) is None


@pytest.mark.parametrize(
    ("one", "text"),
    [
        (moment(2026, 3, 29, 1, 30), "2026-03-29T01:30:00+01:00[Europe/Berlin]"),
        (moment(2026, 10, 25, 2, 30), "2026-10-25T02:30:00+02:00[Europe/Berlin]"),
        (moment(2026, 10, 25, 2, 30, fold=1), "2026-10-25T02:30:00+01:00[Europe/Berlin]"),
        (moment(2026, 7, 1, fold=1), "2026-07-01T00:00:00+02:00[Europe/Berlin][_fold=1]"),
        (datetime.datetime(2026, 7, 1, fold=1), "2026-07-01T00:00:00[_fold=1]"),  # noqa: DTZ001
        (datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC), "2026-07-01T00:00:00+00:00"),
        (datetime.datetime(2026, 7, 1, tzinfo=datetime.timezone(HOUR / 7)), "2026-07-01T00:00:00+00:08:34.285714"),
    ],
)
def test_the_text_is_that_of_rfc_9557(one: datetime.datetime, text: str) -> None:
    assert write_moment(one) == text
    assert is_beyond_pydantic(one) == ("[" in text or "34.28" in text)


def test_the_clock_goes_on_as_it_would_have() -> None:
    before = moment(2026, 3, 29, 1, 30)
    again = read_moment(datetime.datetime, write_moment(before))
    assert (again + 24 * HOUR).isoformat() == (before + 24 * HOUR).isoformat() == "2026-03-30T01:30:00+02:00"


@pytest.mark.parametrize(
    ("text", "is_read_as"),
    [
        ("2026-07-01T12:00:00Z[Europe/Berlin]", "2026-07-01T14:00:00+02:00"),  # an instant
        ("2026-07-01T12:00:00[Europe/Berlin]", "2026-07-01T12:00:00+02:00"),
        ("2026-07-01T12:00:00+02:00[!Europe/Berlin]", "2026-07-01T12:00:00+02:00"),
        ("2026-07-01T12:00:00+05:00[Europe/Berlin]", "2026-07-01T12:00:00+02:00"),  # its rules changed: the clock stays
    ],
)
def test_what_others_write_is_read(text: str, is_read_as: str) -> None:
    assert read_moment(datetime.datetime, text).isoformat() == is_read_as


@pytest.mark.parametrize("text", ["", "2026-07-01[", "[Europe/Berlin]", "2026-07-01T00:00:00[u-ca=hebrew]", "x[UTC]"])
def test_what_is_no_such_text_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"RFC 9557|not known|Invalid isoformat"):
        read_moment(datetime.datetime, text)


def test_a_zone_that_is_not_known_here_is_named() -> None:
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError, match=r"Mars/Olympus .* tzdata"):
        read_moment(datetime.datetime, "2026-07-01T12:00:00+02:00[Mars/Olympus]")


class Unknown(datetime.tzinfo):
    def utcoffset(self, _when: datetime.datetime | None) -> datetime.timedelta | None:
        return None if _when is None else HOUR

    def tzname(self, _when: datetime.datetime | None) -> str:
        return "somewhere"

    def dst(self, _when: datetime.datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (None, None, None),
        (datetime.UTC, datetime.timezone(0 * HOUR), None),
        (BERLIN, zoneinfo.ZoneInfo.no_cache("Europe/Berlin"), None),
        (BERLIN, zoneinfo.ZoneInfo("Europe/Paris"), "has the time zone Europe/Berlin"),
        (BERLIN, datetime.timezone(HOUR), "has the time zone Europe/Berlin"),
        (BERLIN, None, "would be lost"),
        (None, datetime.UTC, "would get a time zone"),
        (datetime.timezone(HOUR), datetime.timezone(2 * HOUR), "is 1:00:00 from UTC"),
        (datetime.timezone(HOUR, "CET"), datetime.timezone(HOUR), "by the name of 'CET'"),
        (Unknown(), datetime.timezone(HOUR), f"tzinfo of {__name__}"),
    ],
)
def test_zones_are_compared_by_what_they_do(
    old: datetime.tzinfo | None, new: datetime.tzinfo | None, why: str | None
) -> None:
    found = zone_difference(old, new)
    assert found == why or (found and why and why in found)


def test_offsets_that_pydantic_reads_become_those_of_datetime() -> None:
    from pydantic_core import SchemaValidator

    read = SchemaValidator({"type": "datetime"}).validate_json
    assert type(fixed_offset(read('"2026-07-01T00:00:00+02:00"')).tzinfo) is datetime.timezone
    assert fixed_offset(read('"2026-07-01T00:00:00Z"')).tzinfo is datetime.UTC
    assert fixed_offset(read('"2026-07-01T00:00:00"')).tzinfo is None
