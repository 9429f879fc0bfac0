"""Text of datetimes and times that keeps their zone: `2026-03-29T01:30:00+01:00[Europe/Berlin]` (RFC 9557).

An offset alone would be an hour wrong after the next change of the clocks. `fold` follows from the offset; where it
does not, a tag of our own keeps it: `[_fold=1]`, of the kind that RFC 9557 leaves to private use.
"""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo
from typing import Final, TypeVar

__all__ = ["BEYOND_PYDANTIC", "fixed_offset", "is_beyond_pydantic", "read_moment", "write_moment", "zone_difference"]

Moment = TypeVar("Moment", datetime.datetime, datetime.time)

BEYOND_PYDANTIC: Final = r"\]$|[+-]\d\d:\d\d:\d\d(\.\d+)?$"
"""Pattern of the ends of such texts that pydantic does not read."""

_TAGGED: Final = re.compile(r"([^\[\]]+)((?:\[[^\[\]]+\])*)")
_FOLD: Final = "_fold=1"
_DEFAULT_NAME: Final = re.compile(r"Z|(UTC)?([+-]\d\d:\d\d(:\d\d(\.\d+)?)?)?")


def is_beyond_pydantic(moment: datetime.datetime | datetime.time) -> bool:
    """Whether pydantic's text would lose something: a named zone, a fold, the seconds of an offset."""
    zone = moment.tzinfo
    if moment.fold or isinstance(zone, zoneinfo.ZoneInfo):
        return True
    offset = zone.utcoffset(None) if zone is not None else None
    return offset is not None and (offset.seconds % 60 != 0 or offset.microseconds != 0)


def write_moment(moment: Moment) -> str:
    """The text from which `read_moment` makes an equal value with the same zone and fold."""
    text = moment.isoformat()
    if isinstance(moment.tzinfo, zoneinfo.ZoneInfo) and moment.tzinfo.key:
        text += f"[{moment.tzinfo.key}]"
    if moment.fold and not read_moment(type(moment), text).fold:
        text += f"[{_FOLD}]"
    return text


def read_moment(kind: type[Moment], text: str) -> Moment:
    """Read ISO 8601 with the tags of RFC 9557.

    Where the offset does not fit the zone, because its rules changed since the text was written, the time on the clock
    is kept. After `Z` the text means an instant, whose time on the zone's clock is taken.

    Raises:
        ValueError: the text is not such text.
        ZoneInfoNotFoundError: this machine does not know the zone.
    """
    matched = _TAGGED.fullmatch(text)
    if matched is None:
        raise ValueError(f"{text!r} is not a time in RFC 9557")
    moment = kind.fromisoformat(matched[1])
    for tag in re.findall(r"\[([^\]]+)\]", matched[2]):
        if tag == _FOLD:
            moment = moment.replace(fold=1)
        elif "=" in tag:
            raise ValueError(f"the tag [{tag}] is not known")
        else:
            moment = _in_zone(moment, _zone(tag.removeprefix("!")), instant=matched[1][-1] in "Zz")
    return moment


def _zone(key: str) -> zoneinfo.ZoneInfo:
    try:
        return zoneinfo.ZoneInfo(key)
    except zoneinfo.ZoneInfoNotFoundError:
        raise zoneinfo.ZoneInfoNotFoundError(
            f"the time zone {key} is not known on this machine; install the package tzdata"
        ) from None


def _in_zone(moment: Moment, zone: zoneinfo.ZoneInfo, *, instant: bool) -> Moment:
    if instant and isinstance(moment, datetime.datetime):
        return moment.astimezone(zone)
    offset, local = moment.utcoffset(), moment.replace(tzinfo=zone)
    if offset is not None and local.utcoffset() != offset:
        second = local.replace(fold=1)
        if second.utcoffset() == offset:
            return second
    return local


_KEPT: Final = frozenset({datetime.timezone, zoneinfo.ZoneInfo})


def fixed_offset(moment: Moment) -> Moment:
    """The same value with a `datetime.timezone` in place of pydantic's class for offsets."""
    zone = moment.tzinfo
    if zone is None or type(zone) in _KEPT:
        return moment
    return moment.replace(tzinfo=_timezone(zone.utcoffset(None)))


@functools.lru_cache(maxsize=256)
def _timezone(offset: datetime.timedelta) -> datetime.timezone:
    return datetime.timezone(offset) if offset else datetime.UTC


def zone_difference(old: datetime.tzinfo | None, new: datetime.tzinfo | None) -> str | None:
    """How the zone that was read back differs from the one that was written; None where it does not."""
    if old is None or new is None:
        return None if old is new else "has a time zone, which would be lost" if old else "would get a time zone"
    if isinstance(old, zoneinfo.ZoneInfo):
        if isinstance(new, zoneinfo.ZoneInfo) and old.key and old.key == new.key:
            return None
        if not old.key:
            return "has a time zone without a key, which cannot be written; make it by `ZoneInfo('Europe/Berlin')`"
        return f"has the time zone {old.key}, which would be lost; leave out the serializer that writes it, or take UTC"
    # By the convention of `tzinfo`, only a zone whose offset never changes has one without a time.
    offset = old.utcoffset(None)
    if offset is None:
        return f"has a tzinfo of {type(old).__module__}, of which the offset alone would be kept; use zoneinfo.ZoneInfo"
    if offset != new.utcoffset(None):
        return f"is {offset} from UTC, and would come back as {new.utcoffset(None)} from UTC; use an offset in seconds"
    name = old.tzname(None)
    if name != new.tzname(None) and not _DEFAULT_NAME.fullmatch(name or ""):
        return f"has a fixed offset by the name of {name!r}, which would be lost; use zoneinfo.ZoneInfo, or no name"
    return None
