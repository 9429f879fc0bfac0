"""A step's retry policy: how often, how long between, and for which exceptions."""

from __future__ import annotations

from typing import Any

import pytest

from perdure import Retry
from perdure.errors import DefinitionError


@pytest.mark.parametrize(
    ("tries", "again"),
    [(1, True), (2, True), (3, False), (4, False)],
)
def test_tries_are_counted_with_the_first(tries: int, again: bool) -> None:
    assert Retry(tries=3).tries_again(OSError(), tries) is again


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(), True),
        (TimeoutError(), True),
        (PermissionError(), False),
        (ValueError(), False),
        (SystemExit(), False),
    ],
)
def test_only_exceptions_of_the_kinds_that_are_worth_it_are_tried_again(error: BaseException, again: bool) -> None:
    policy = Retry(on=(OSError, KeyError), never_on=PermissionError)
    assert policy.tries_again(error, 1) is again


def test_by_default_every_exception_is_and_no_exit() -> None:
    assert Retry().tries_again(ValueError(), 1)
    assert not Retry().tries_again(KeyboardInterrupt(), 1)


def test_pauses_grow_to_their_longest() -> None:
    policy = Retry(delay=1.0, factor=3.0, max_delay=20.0, jitter=0)
    assert [policy.pause(tries) for tries in (1, 2, 3, 4, 50)] == [1.0, 3.0, 9.0, 20.0, 20.0]


def test_chance_takes_no_more_than_its_share() -> None:
    policy = Retry(delay=10.0, factor=1.0, jitter=0.5)
    pauses = {policy.pause(1) for _ in range(200)}
    assert min(pauses) >= 5.0
    assert max(pauses) <= 10.0
    assert len(pauses) > 100


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("tries", 0),
        ("tries", 1.5),
        ("delay", -1),
        ("delay", float("nan")),
        ("max_delay", -0.1),
        ("factor", 0.5),
        ("jitter", 1.1),
        ("jitter", -0.1),
        ("on", "OSError"),
        ("on", BaseException),
        ("never_on", (OSError, KeyboardInterrupt)),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_name(option: str, value: Any) -> None:
    with pytest.raises(DefinitionError, match=rf"{option}="):
        Retry(**{option: value})
