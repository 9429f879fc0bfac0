"""The journal: what each branch must call next, and with which arguments."""

from __future__ import annotations

import pytest

from perdure import NondeterminismError
from perdure.engine.journal import Journal, Recorded


def recorded(key: str, ordinal: int, fingerprint: str | None = "f") -> Recorded:
    return Recorded(key, ordinal, 1, 1, ordinal * 10, "1", None, fingerprint=fingerprint)


def test_each_branch_has_an_order_of_its_own() -> None:
    journal = Journal([recorded("b", 2), recorded("1/a", 3), recorded("a", 1), recorded("1/b", 4)])
    assert (journal.size, journal.last_ordinal, journal.last_clock) == (4, 4, 40)
    assert [journal.take("1", "1/a", "f").ordinal, journal.take("", "a", "f").ordinal] == [3, 1]  # type: ignore[union-attr]
    with pytest.raises(NondeterminismError, match="branch '1' recorded '1/b' next"):
        journal.take("1", "1/c", "f")


def test_what_is_new_has_no_record() -> None:
    journal = Journal([recorded("a", 1)])
    assert journal.take("1", "1/a", "f") is None
    journal.take("", "a", "f")
    assert journal.take("", "b", "g") is None


def test_another_step_is_refused_with_the_call() -> None:
    journal = Journal([recorded("a", 1)])
    with pytest.raises(NondeterminismError, match=r"the workflow recorded 'a' next .*now calls 'b': b\(1\)\."):
        journal.take("", "b", "f", lambda: "b(1)")


def test_other_arguments_are_refused_with_the_call() -> None:
    journal = Journal([recorded("mail", 1, "ada"), recorded("mail#2", 2, "bob")])
    expected = r"recorded 'mail' next .*now calls 'mail' with other arguments: mail\(name='boss'\)\."
    with pytest.raises(NondeterminismError, match=expected):
        journal.take("", "mail", "boss", lambda: "mail(name='boss')")


def test_the_record_that_fits_is_named() -> None:
    journal = Journal([recorded("mail", 1, "ada"), recorded("mail#2", 2, "bob")])
    with pytest.raises(NondeterminismError, match=r"with other arguments, with which 'mail#2' was recorded: mail"):
        journal.take("", "mail", "bob", lambda: "mail(name='bob')")


@pytest.mark.parametrize(("then", "now"), [(None, "f"), ("f", None), (None, None), ("f", "f")])
def test_a_missing_fingerprint_compares_equal(then: str | None, now: str | None) -> None:
    assert Journal([recorded("a", 1, then)]).take("", "a", now) is not None


def test_recorded_steps_that_were_never_called() -> None:
    journal = Journal([recorded("a", 1), recorded("1/b", 2), recorded("1.1/c", 3)])
    one = journal.take("", "a", "f")
    assert one is not None
    one.consumed = True
    assert "'1/b'" in str(journal.unclaimed())
    assert journal.unclaimed(["1"]) is None
