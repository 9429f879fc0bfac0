"""The journal: what each branch must call next, and with which arguments."""

from __future__ import annotations

from enum import Enum
from typing import cast

import pytest

from perdure import NondeterminismError
from perdure.engine.order.journal import Journal, Recorded
from perdure.store.attempts.checkpoint import CallKind

STEP = CallKind.STEP


class _Others(Enum):
    """Stands for a kind of a later release."""

    NAP = 1

    def __str__(self) -> str:
        return self.name.lower()


NAP = cast("CallKind", _Others.NAP)


def recorded(key: str, ordinal: int, fingerprint: str | None = "f") -> Recorded:
    return Recorded(key, ordinal, 1, 1, ordinal * 10, "1", None, fingerprint=fingerprint)


def test_each_branch_has_an_order_of_its_own() -> None:
    journal = Journal([recorded("b", 2), recorded("1/a", 3), recorded("a", 1), recorded("1/b", 4)])
    assert (journal.size, journal.last_ordinal, journal.last_clock) == (4, 4, 40)
    taken = [journal.take(STEP, "1", "1/a", "f"), journal.take(STEP, "", "a", "f")]
    assert [one and one.ordinal for one in taken] == [3, 1]
    with pytest.raises(NondeterminismError, match="branch '1' recorded '1/b' next"):
        journal.take(STEP, "1", "1/c", "f")


def test_what_is_new_has_no_record() -> None:
    journal = Journal([recorded("a", 1)])
    assert journal.take(STEP, "1", "1/a", "f") is None
    journal.take(STEP, "", "a", "f")
    assert journal.take(STEP, "", "b", "g") is None


def test_another_step_is_refused_with_the_call() -> None:
    journal = Journal([recorded("a", 1)])
    with pytest.raises(NondeterminismError, match=r"the workflow recorded 'a' next .*now calls 'b': b\(1\)\."):
        journal.take(STEP, "", "b", "f", lambda: "b(1)")


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (STEP, NAP, r"recorded the step 'a' next .*now calls the nap 'a': a\(1\)\."),
        (NAP, STEP, r"recorded the nap 'a' next .*now calls the step 'a': a\(1\)\."),
    ],
)
def test_a_call_of_another_kind_is_refused_though_its_key_is_the_same(then: CallKind, now: CallKind, said: str) -> None:
    one = recorded("a", 1)
    one.kind = then
    journal = Journal([one])
    with pytest.raises(NondeterminismError, match=said):
        journal.take(now, "", "a", "f", lambda: "a(1)")
    assert journal.take(then, "", "a", "f") is one


def test_a_record_that_was_never_called_is_named_with_its_kind() -> None:
    one = recorded("a", 1)
    one.kind = NAP
    assert "calls: nap 'a' (recorded in attempt 1)" in str(Journal([one]).unclaimed())


def test_other_arguments_are_refused_with_the_call() -> None:
    journal = Journal([recorded("mail", 1, "ada"), recorded("mail#2", 2, "bob")])
    expected = r"recorded 'mail' next .*now calls 'mail' with other arguments: mail\(name='boss'\)\."
    with pytest.raises(NondeterminismError, match=expected):
        journal.take(STEP, "", "mail", "boss", lambda: "mail(name='boss')")


def test_the_record_that_fits_is_named() -> None:
    journal = Journal([recorded("mail", 1, "ada"), recorded("mail#2", 2, "bob")])
    with pytest.raises(NondeterminismError, match=r"with other arguments, with which 'mail#2' was recorded: mail"):
        journal.take(STEP, "", "mail", "bob", lambda: "mail(name='bob')")


@pytest.mark.parametrize(("then", "now"), [(None, "f"), ("f", None), (None, None), ("f", "f")])
def test_a_missing_fingerprint_compares_equal(then: str | None, now: str | None) -> None:
    assert Journal([recorded("a", 1, then)]).take(STEP, "", "a", now) is not None


def test_recorded_steps_that_were_never_called() -> None:
    journal = Journal([recorded("a", 1), recorded("1/b", 2), recorded("1.1/c", 3)])
    one = journal.take(STEP, "", "a", "f")
    assert one is not None
    one.consumed = True
    assert "'1/b'" in str(journal.unclaimed())
    assert journal.unclaimed(["1"]) is None
