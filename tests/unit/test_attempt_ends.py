"""The ends of attempts are spelled once in Python, and the SQL functions know the same ones."""

from __future__ import annotations

import re

import pytest

from perdure.attempt_ends import AttemptEnd, EndClass
from perdure.store.schema.function_files import functions

END_ATTEMPT = next(one.text for one in functions() if one.name == "end_attempt")


def _array(name: str) -> set[str]:
    found = re.search(rf"\b{name} CONSTANT text\[\] := ARRAY\[(.*?)\];", END_ATTEMPT)
    assert found is not None
    return set(re.findall(r"'(.*?)'", found[1]))


@pytest.mark.parametrize(
    ("array", "counts_as"), [("crash", EndClass.CRASH), ("disruption", EndClass.DISRUPTION), ("uncounted", None)]
)
def test_the_store_counts_the_same_ends(array: str, counts_as: EndClass | None) -> None:
    ends = {AttemptEnd(end) for end in _array(array)}
    if counts_as is None:
        assert {end.counts_as for end in ends} == {EndClass.NEITHER}
    else:
        assert ends == {end for end in AttemptEnd if end.counts_as is counts_as}


def test_every_end_is_one_that_the_store_knows() -> None:
    """`completed` is the end of an attempt that ended its run, which `finish` writes."""
    known = set(
        re.findall(
            r"'(.*?)'", " ".join(line for line in END_ATTEMPT.splitlines() if "ARRAY" in line or "hindered" in line)
        )
    )
    assert known >= {end.value for end in AttemptEnd} - {AttemptEnd.COMPLETED}
    assert "'completed'" in next(one.text for one in functions() if one.name == "finish")


@pytest.mark.parametrize("end", [AttemptEnd.NEVER_BEGUN, AttemptEnd.COULD_NOT_START, AttemptEnd.STORE_UNREACHABLE])
def test_an_attempt_that_did_not_begin_does_not_end_as_one_that_did(end: AttemptEnd) -> None:
    assert not end.begun
