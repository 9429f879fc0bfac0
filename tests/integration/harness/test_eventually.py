"""Waiting: what it returns, when it gives up, what it says then."""

from __future__ import annotations

import pytest

from tests.harness.eventually import eventually


def test_it_returns_the_first_true_value():
    values = iter([0, "", [], "here", "later"])
    assert eventually(lambda: next(values), every=0) == "here"


def test_it_retries_a_failed_assertion_and_reports_the_last_one():
    def check():
        raise AssertionError("three of five")

    with pytest.raises(AssertionError, match=r"not within 0\.05 s.*three of five"):
        eventually(check, deadline=0.05)


def test_it_passes_on_any_other_exception_at_once():
    calls = []

    def check():
        calls.append(1)
        raise KeyError("broken")

    with pytest.raises(KeyError):
        eventually(check)
    assert len(calls) == 1
