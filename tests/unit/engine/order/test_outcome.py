"""What came of a step, as it is stored, and as its error is raised."""

from __future__ import annotations

import pytest

from perdure.engine.order.outcome import Outcome, cancelled_error, failed, forget_frames, raise_error, refused
from perdure.errors import ValueNotStorable


def test_neither_a_result_nor_an_error_is_a_cancellation() -> None:
    assert Outcome().cancelled
    assert not Outcome(result="null").cancelled
    assert not Outcome(error="{}").cancelled


def test_a_cancellation_without_a_message_has_no_arguments() -> None:
    assert cancelled_error(None).args == ()
    assert cancelled_error("why").args == ("why",)


def test_a_failed_step_raises_what_a_replay_will_raise() -> None:
    error = ValueError("bad", 3)
    outcome = failed(error, 2)
    assert outcome.raised is not error
    assert isinstance(outcome.raised, ValueError)
    assert (outcome.raised.args, outcome.tries) == (("bad", 3), 2)
    assert not outcome.cancelled


def test_an_error_is_raised_in_its_own_context_and_not_in_that_of_its_caller() -> None:
    context = KeyError("its own")
    error = ValueError("bad")
    error.__context__ = context
    try:
        raise OSError("the workflow handles this")
    except OSError:
        with pytest.raises(ValueError, match="bad"):
            raise_error(error)
    assert error.__context__ is context


def test_the_frames_of_ours_are_forgotten_and_those_of_others_are_not() -> None:
    ours = ValueError("bad")
    with pytest.raises(ValueError, match="bad"):
        raise_error(ours)
    forget_frames(ours)
    assert ours.__traceback__ is None
    others = ValueError("bad")
    with pytest.raises(ValueError, match="bad"):
        raise others
    forget_frames(others)
    assert others.__traceback__ is not None


def test_a_result_that_the_store_refuses_becomes_an_error_and_an_error_stays() -> None:
    outcome = Outcome(result="1", value=1, tries=2)
    assert refused(outcome, ValueNotStorable("too long"))
    assert (outcome.result, outcome.value, outcome.tries) == (None, None, 2)
    assert isinstance(outcome.raised, ValueNotStorable)
    first = outcome.error
    assert not refused(outcome, ValueNotStorable("again"))
    assert outcome.error == first
