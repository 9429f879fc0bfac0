"""What an exception could not keep: its use is an error that says why, and what to do about it."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from perdure.serialization.failures.not_kept import (
    History,
    NotKept,
    base_of,
    class_without,
    describe,
    history_of,
    remember,
)
from tests.harness.replayed import caught


class Response:
    status_code = 404

    def __repr__(self) -> str:
        return "<Response [404]>"


class StatusError(Exception):
    """As httpx and requests have it."""

    response: Any = None

    def __init__(self, message: str, *, response: Response | None = None) -> None:
        super().__init__(message)
        self.response = response


class Slotted(Exception):
    __slots__ = ("response",)


class Delegating(Exception):
    def __init__(self, inner: object) -> None:
        super().__init__("delegates")
        self.inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["inner"], name)


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


def status() -> None:
    raise StatusError("404", response=Response())


def arguments() -> None:
    raise ValueError("with", Response(), {"n": [1]})


def test_what_was_not_kept_says_so_and_what_to_do() -> None:
    error = caught(status)

    assert isinstance(error, StatusError)
    assert error.__class__ is StatusError
    with pytest.raises(AttributeError) as found:
        error.response  # noqa: B018
    said = str(found.value)
    assert said.startswith(f"'response' of this StatusError was not kept; it was a Response ({__name__}): what a step")
    assert "keep that in arguments or attributes of plain types" in said
    assert "perdure.register_error(StatusError, ...)" in said
    assert getattr(error, "response", "missing") == "missing"
    assert not [name for name in vars(error) if name != "__notes__"]


def slotted() -> None:
    error = Slotted("x")
    error.response = Response()  # type: ignore[attr-defined]
    raise error


def delegating() -> None:
    raise Delegating(Response())


def test_so_do_slots_and_classes_with_attributes_of_their_own() -> None:
    with pytest.raises(AttributeError, match="'response' of this Slotted was not kept"):
        caught(slotted).response  # noqa: B018
    error: Any = caught(delegating)
    with pytest.raises(AttributeError, match="'inner' of this Delegating was not kept"):
        error.inner  # noqa: B018
    with pytest.raises(AttributeError, match=r"'status_code' is not to be had .* not kept: inner"):
        error.status_code  # noqa: B018


def test_an_argument_that_was_not_kept_has_its_text_and_no_more() -> None:
    error = caught(arguments)

    assert type(error) is ValueError
    text, response, rest = error.args
    assert (text, rest) == ("with", {"n": [1]})
    assert isinstance(response, NotKept)
    assert repr(error) == "ValueError('with', <Response [404]>, {'n': [1]})"
    with pytest.raises(AttributeError, match=r"'status_code' of <Response \[404\]> .* was not kept with its exception"):
        response.status_code  # noqa: B018
    for use in (bool, len, list, int, lambda value: value[0], lambda value: value()):
        with pytest.raises(TypeError, match="was not kept with its exception"):
            use(response)


def test_a_stand_in_is_equal_to_one_of_the_same_content_and_hashable() -> None:
    one, other = NotKept.of(Response()), NotKept.of(Response())
    assert one == other
    assert {one, other} == {one}
    assert one != NotKept.of(object())
    assert one != "<Response [404]>"
    assert NotKept.of(one) is NotKept.unseen(one) is one
    assert pickle.loads(pickle.dumps(one)) == NotKept.read(one.content) == one


def test_a_stand_in_is_shown_under_the_name_of_the_values_class() -> None:
    assert type(NotKept.of(Response())).__name__ == "Response"
    assert str(NotKept.of(Unspeakable())) == "<Unspeakable object>"
    assert repr(NotKept.unseen(Response())) == "<Response object>"


@pytest.mark.parametrize(
    ("value", "said"), [(3, "int"), (Response(), f"a Response ({__name__})"), (len, "builtin_function_or_method")]
)
def test_a_value_is_described_by_its_class(value: object, said: str) -> None:
    assert describe(value) == said


def test_what_has_lost_nothing_is_of_its_own_class() -> None:
    assert class_without(StatusError, History()) is StatusError
    assert base_of(StatusError) is StatusError
    assert history_of(StatusError("x")) == History()


def test_what_has_lost_something_is_of_a_subclass_that_goes_by_the_same_name() -> None:
    history = History({"response": "a Response"}, text="404!", spelled="<404>")
    kind = class_without(StatusError, history)
    error = kind.__new__(kind, "404")
    remember(error, history)
    assert isinstance(error, StatusError)
    assert kind.__qualname__ == "StatusError"
    assert base_of(kind) is StatusError
    assert history_of(error) == history
    assert (str(error), repr(error)) == ("404!", "<404>")
    assert class_without(StatusError, History({"response": "another"}, "x", "y")) is kind  # made once


def test_an_attribute_that_was_not_kept_may_be_set_and_deleted() -> None:
    error: Any = caught(status)
    with pytest.raises(AttributeError):
        del error.response
    error.response = 3
    assert error.response == 3
    del error.response
    with pytest.raises(AttributeError, match="was not kept"):
        error.response  # noqa: B018
