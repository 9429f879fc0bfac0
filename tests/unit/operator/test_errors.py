"""The operator's errors: what one reads of each, and which the work queue may tell apart."""

from __future__ import annotations

import copy
import pickle

import pytest

from perdure.errors import PerdureError
from perdure_operator import errors
from perdure_operator.errors import (
    AlreadyExists,
    ApiError,
    Conflict,
    Misconfigured,
    NotFound,
    OperatorError,
    TooManyRequests,
    Unavailable,
)


def test_all_are_of_one_tree() -> None:
    for name in errors.__all__:
        assert issubclass(getattr(errors, name), PerdureError)
    assert issubclass(ApiError, OperatorError)
    assert not issubclass(Misconfigured, ApiError)


def test_a_conflict_of_names_is_a_conflict_and_a_missing_object_is_none() -> None:
    assert issubclass(AlreadyExists, Conflict)
    assert not issubclass(NotFound, Conflict)


def test_what_one_reads_is_the_call_and_what_the_server_said() -> None:
    error = Unavailable("create pods shop/a", "no route to host")
    assert str(error) == "create pods shop/a: no route to host"
    assert (error.call, error.said) == ("create pods shop/a", "no route to host")


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_they_survive_a_copy(again: object) -> None:
    made = again(TooManyRequests("list pods", "busy", 2.5))  # type: ignore[operator]
    assert (str(made), made.retry_after) == ("list pods: busy", 2.5)
