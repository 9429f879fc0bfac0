"""Exceptions as data: the same again where that can be had, else a StepError with all of it, and never an accident."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import copy
import dataclasses
import datetime
import decimal
import enum
import json
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Generic, Self, TypeVar
from urllib.error import URLError
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from perdure.errors import StepError, StepTimeout, Superseded, ValueNotReadable
from perdure.serialization.failures.exception_state import peek
from perdure.serialization.failures.failure import Failure
from perdure.serialization.failures.recorder import HEADER, MAX_BYTES, MAX_TEXT, RECORDED, spelling_of, text_of

T = TypeVar("T")


class Code(enum.IntEnum):
    LOW = 1


class Keyword(Exception):
    made = 0

    def __init__(self, code: int, *, detail: str) -> None:
        type(self).made += 1
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


class Slots(Exception):
    __slots__ = ("a", "b")


class WithObject(Exception):
    def __init__(self, thing: object) -> None:
        super().__init__("x")
        self.thing = thing
        self.number = 3


class Formats(Exception):
    def __str__(self) -> str:
        return f"code {self.args[0]:04d}"


class BrokenStr(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


class NoText(Exception):
    def __str__(self) -> str:
        return 3  # type: ignore[return-value]  # noqa: PLE0307


class Hostile(Exception):
    args = property(lambda _: 1 / 0)
    __cause__ = property(lambda _: 1 / 0)
    __notes__ = property(lambda _: 1 / 0)

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError(name)


class Properties(Exception):
    args = property(lambda _: 1 / 0)
    __cause__ = property(lambda _: 1 / 0)
    __notes__ = property(lambda _: 1 / 0)

    def __setattr__(self, name: str, value: object) -> None:
        raise RuntimeError(name)


class Picky(OSError):
    def __init__(self, path: str, *, errno: int) -> None:
        super().__init__(errno, "picky", path)


class Group(ExceptionGroup[Exception]):
    def derive(self, excs: Any) -> Any:
        return Group(self.message, excs)


@dataclasses.dataclass
class Data(Exception):
    code: int
    where: Path = Path("/x")


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    code: int


class Boxed(Exception, Generic[T]): ...


class Flags(enum.Flag):
    A = 1
    B = 2


class Wrapping(Exception):
    def __init__(self, inner: Exception) -> None:
        super().__init__(f"wraps {inner!r}")
        self.inner = inner
        self.others = [inner, inner]


@dataclasses.dataclass(slots=True)
class SlottedData(Exception):
    code: int
    thing: object = None


class Registered(Exception):
    """Its class minds its subclasses."""

    def __init_subclass__(cls, *, code: int) -> None:
        assert code

    def __init__(self, thing: object) -> None:
        self.thing = thing


class Once(type):
    names: ClassVar[set[str]] = set()

    def __new__(cls, name: str, *rest: Any) -> Any:
        if name in cls.names:
            raise TypeError(f"there is one {name} already")
        cls.names.add(name)
        return super().__new__(cls, name, *rest)


class WithMetaclass(Exception, metaclass=Once):
    def __init__(self, thing: object) -> None:
        self.thing = thing


class Abstract(abc.ABC, Exception):
    def __init__(self, thing: object) -> None:
        self.thing = thing


class GroupWith(ExceptionGroup[Exception]):
    def __new__(cls, message: str, members: list[Exception], thing: object) -> Self:
        made = super().__new__(cls, message, members)
        made.thing = thing
        return made

    thing: object


class SaysObject(WithObject):
    def __str__(self) -> str:
        return f"about {self.thing}"

    def __repr__(self) -> str:
        return f"<about {self.thing}>"


class Outer:
    class Inner(Exception): ...


def raised(error: BaseException, cause: BaseException | None = None) -> Any:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def raised_by(function: Callable[[], object]) -> BaseException:
    try:
        function()
    except BaseException as caught:
        return caught
    raise AssertionError


def local() -> Exception:
    class Local(Exception): ...

    return Local("x")


def cyclic() -> Exception:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    return first


def with_changed_attributes() -> Exception:
    error = FileNotFoundError(2, "gone", "/a")
    error.strerror, error.filename = "away", "/b"
    error.code = 7  # type: ignore[attr-defined]
    return error


def from_none() -> BaseException:
    def hides() -> None:
        try:
            int("x")
        except ValueError:
            raise KeyError("k") from None

    return raised_by(hides)


def chain(length: int) -> BaseException:
    error: BaseException = ValueError("0")
    for index in range(1, length):
        error = raised(ValueError(str(index)), error)
    return error


def raise_properties() -> None:
    raise Properties("x")


def slotted() -> Exception:
    error = Slots("m")
    error.a = [1]  # type: ignore[attr-defined]
    return error


def noted() -> Exception:
    error = ValueError("n")
    error.add_note("a note\x00")
    error.__notes__.append(3)  # type: ignore[arg-type]
    return error


def endless() -> None:
    endless()


def from_what_it_handles() -> None:
    try:
        int("x")
    except ValueError as error:
        raise TypeError from error


def from_something_else() -> None:
    try:
        dict[str, int]()["k"]
    except KeyError:
        raise TypeError from OSError("o")


def raise_(error: BaseException) -> None:
    raise error


def with_context() -> None:
    try:
        dict[str, int]()["k"]
    except KeyError:
        int("x")


KEPT: list[Callable[[], BaseException]] = [
    ValueError,
    lambda: ValueError("x", 3, None, 1.5, [True]),
    lambda: ValueError((1, 2), {3: b"\xff"}, {"$": 1}, {1}, float("inf"), decimal.Decimal("1.0"), Code.LOW),
    lambda: ValueError(datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC), 10**400),
    lambda: ValueError("\x00\ud800"),
    lambda: KeyError("a\x00"),
    lambda: ValueError("x" * 200_000),
    lambda: Keyword(3, detail="d"),
    slotted,
    lambda: Formats(7),
    lambda: Picky("/x", errno=2),
    lambda: raised_by(raise_properties),
    Hostile,
    lambda: Outer.Inner("x"),
    lambda: raised_by(lambda: open("/nowhere/at/all")),  # noqa: SIM115
    lambda: FileNotFoundError(2, "a", "b", None, "c"),
    lambda: ConnectionResetError(104, "reset"),
    lambda: raised_by(b"\xff".decode),
    lambda: raised_by("\ud800".encode),
    lambda: raised_by(lambda: __import__("nowhere_at_all")),
    lambda: raised_by(lambda: (1).nothing),  # type: ignore[attr-defined]
    lambda: raised_by(lambda: exec("a b")),
    lambda: raised_by(lambda: json.loads("{")),
    lambda: raised_by(endless),
    lambda: raised_by(with_context),
    lambda: SystemExit(3),
    KeyboardInterrupt,
    lambda: StopIteration(5),
    lambda: StepTimeout("late"),
    lambda: StepError("m", type="a:B", traceback="t"),
    noted,
    cyclic,
    lambda: chain(5),
    lambda: chain(100),
    lambda: raised(ValueError("a"), raised(KeyError("b"))),
    lambda: Group("g", [raised(ValueError("a")), OSError(2, "x")]),
    lambda: ExceptionGroup("g", [ExceptionGroup("h", [KeyError("k")]), raised(TypeError("t"), ValueError("v"))]),
    lambda: BaseExceptionGroup("g", [KeyboardInterrupt()]),
    lambda: raised_by(lambda: TypeAdapter(int).validate_python("x")),
    lambda: ValueError(object()),
    lambda: BlockingIOError(11, "full", 5),
    lambda: subprocess.CalledProcessError(3, [Path("/bin/x"), "-v"], output=b"\xff", stderr=None),
    lambda: subprocess.TimeoutExpired("x", 3.0),
    lambda: URLError(ConnectionRefusedError(111, "refused")),
    lambda: asyncio.IncompleteReadError(b"ab", 5),
    lambda: asyncio.CancelledError("why"),
    lambda: StopAsyncIteration(3),
    lambda: Data(3, Path("/y")),
    lambda: Frozen(3),
    lambda: Boxed[int]("x"),
    lambda: TypeError(int, list[int], Boxed[Code], Data(1)),
    lambda: ValueError(datetime.datetime(2026, 10, 25, 2, 30, tzinfo=datetime.timezone(datetime.timedelta(0), "X"))),
    lambda: ValueError(datetime.datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1)),
    lambda: ValueError(datetime.timedelta(5), datetime.time(1, 2), Path("x"), Flags.A | Flags.B, complex),
    lambda: Wrapping(KeyError("k")),
    with_changed_attributes,
    from_none,
]

TEXT_KEPT: list[Callable[[], BaseException]] = [
    lambda: WithObject(object()),
    lambda: SaysObject(object()),
    lambda: SlottedData(3, object()),
    lambda: Registered(object()),
    lambda: WithMetaclass(object()),
    lambda: Abstract(object()),
    lambda: GroupWith("g", [ValueError(1), KeyError(2)], object()),
    BrokenStr,
    NoText,
    lambda: ValueError(10**5000),
    lambda: ExceptionGroup("many", [ValueError(index) for index in range(500)]),
]
"""Of the class that they were, with the text that they had, and something that is not there any more."""

LOST: list[Callable[[], BaseException]] = [
    local,
    lambda: Superseded("s"),
    lambda: raised(local(), ValueError("v")),
    lambda: BaseExceptionGroup("g", [Superseded("s")]),
]


def everything(failure: Failure) -> None:
    """What holds for every failure."""
    text = failure.to_json()
    assert len(text) <= MAX_BYTES
    assert Failure.from_json(text) == failure
    assert "\\u0000" not in text.replace("\\\\u0000", "")
    text.encode()
    revived = failure.revive()
    assert Failure.of(revived) == failure
    again = Failure.of(raised(Failure.from_json(text).revive())).traceback
    assert again.endswith(failure.traceback.removeprefix(HEADER))


@pytest.mark.parametrize("make", KEPT, ids=range(len(KEPT)))
def test_comes_back_as_it_was(make: Callable[[], BaseException]) -> None:
    error = make()
    failure = Failure.of(error)
    everything(failure)
    revived = failure.revive()
    assert type(revived) is type(error)
    if len(str(error)) < MAX_TEXT:
        assert str(revived) == str(error)
        args = BaseException.__dict__["args"].__get__
        assert repr(args(revived)) == repr(args(error))


@pytest.mark.parametrize("make", LOST, ids=range(len(LOST)))
def test_becomes_a_step_error_where_it_cannot_come_back(make: Callable[[], BaseException]) -> None:
    error = make()
    failure = Failure.of(error)
    everything(failure)
    revived = failure.revive()
    if isinstance(error, BaseExceptionGroup) and isinstance(revived, BaseExceptionGroup):
        revived = revived.exceptions[0]
    assert isinstance(revived, StepError)
    assert revived.type in (f"{type(error).__module__}:{type(error).__qualname__}", "perdure.errors:Superseded")


@pytest.mark.parametrize("make", TEXT_KEPT, ids=range(len(TEXT_KEPT)))
def test_is_of_its_class_and_says_what_it_said_though_it_has_lost_something(make: Callable[[], BaseException]) -> None:
    error = make()
    failure = Failure.of(error)
    everything(failure)
    revived = failure.revive()
    assert isinstance(revived, type(error))
    assert revived.__class__ is type(error)
    assert type(revived).__qualname__ == type(error).__qualname__
    assert str(revived) == failure.message
    assert spelling_of(revived, MAX_TEXT) == spelling_of(error, MAX_TEXT) or "many" in failure.message
    if "thing" in failure.lost:
        with pytest.raises(AttributeError, match=r"'thing' of this .* was not kept; it was object"):
            revived.thing  # type: ignore[attr-defined]  # noqa: B018
    assert {str(revived)} == {str(one) for one in (copy.copy(revived), pickle.loads(pickle.dumps(revived)))}


def test_attributes_come_back_without_the_class_running_its_init() -> None:
    made = Keyword.made
    error = Keyword(3, detail="d")
    revived = Failure.of(error).revive()
    assert isinstance(revived, Keyword)
    assert (revived.code, revived.detail, str(revived)) == (3, "d", "3: d")
    assert Keyword.made == made + 1


def test_what_built_in_exceptions_keep_comes_back() -> None:
    missing = Failure.of(FileNotFoundError(2, "gone", "/a", None, "/b")).revive()
    assert isinstance(missing, FileNotFoundError)
    assert (missing.errno, missing.strerror, missing.filename, missing.filename2) == (2, "gone", "/a", "/b")
    undecodable = Failure.of(raised_by(b"a\xff".decode)).revive()
    assert isinstance(undecodable, UnicodeDecodeError)
    assert (undecodable.object, undecodable.start) == (b"a\xff", 1)
    picky = Failure.of(Picky("/x", errno=2)).revive()
    assert isinstance(picky, Picky)
    assert (picky.errno, picky.filename) == (2, "/x")
    slots = Failure.of(slotted()).revive()
    assert isinstance(slots, Slots)
    assert slots.a == [1]  # type: ignore[attr-defined]
    assert not hasattr(slots, "b")


def test_the_traceback_is_a_note() -> None:
    failure = Failure.of(raised(ValueError("x"), raised(KeyError("k"))))
    assert "in raised" in failure.traceback
    assert "test_failure" in failure.traceback
    revived = failure.revive()
    assert revived.__traceback__ is None
    assert revived.__notes__ == [RECORDED + failure.traceback]
    assert isinstance(revived.__cause__, KeyError)
    assert revived.__cause__.__notes__[0].startswith(RECORDED)


def test_the_frames_of_an_exception_that_is_raised_again_come_before_those_of_its_first_raise() -> None:
    first = Failure.of(raised(ValueError("x")))
    again = Failure.of(raised_by(lambda: raise_(first.revive()))).traceback
    assert again.count(HEADER) == 1
    assert again.index("raise_(first") < again.index("raise error from cause")


def test_causes_and_contexts_are_told_apart() -> None:
    explicit = Failure.of(raised(ValueError("x"), KeyError("k"))).revive()
    assert isinstance(explicit.__cause__, KeyError)
    assert explicit.__context__ is None
    assert explicit.__suppress_context__
    same = Failure.of(raised_by(from_what_it_handles)).revive()
    assert isinstance(same.__cause__, ValueError)
    assert same.__context__ is same.__cause__
    other = Failure.of(raised_by(from_something_else)).revive()
    assert (repr(other.__cause__), repr(other.__context__)) == ("OSError('o')", "KeyError('k')")
    implicit = Failure.of(raised_by(with_context)).revive()
    assert implicit.__cause__ is None
    assert isinstance(implicit.__context__, KeyError)
    assert not implicit.__suppress_context__

    hidden = Failure.of(from_none()).revive()
    assert hidden.__cause__ is None
    assert isinstance(hidden.__context__, ValueError)
    assert hidden.__suppress_context__


def test_a_step_error_stands_for_what_it_was_made_from() -> None:
    failure = Failure.of(raised(local(), ValueError("v")))
    again = raised(failure.revive())
    again.add_note("seen twice")
    recorded = Failure.of(again)
    assert (recorded.type, recorded.message, recorded.notes) == (failure.type, "x", ("seen twice",))


def test_a_long_chain_of_long_errors_still_fits() -> None:
    error: BaseException = ValueError("x" * 100_000)
    for _ in range(30):
        error = raised(ValueError("x" * 100_000), error)
    everything(Failure.of(error))


def test_a_class_of_another_name_is_not_taken_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    failure = Failure.of(Outer.Inner("x"))
    monkeypatch.setattr(Outer, "Inner", ValueError)
    assert isinstance(failure.revive(), StepError)


def test_a_step_error_says_why_it_is_one() -> None:
    [note] = Failure.of(local()).revive().__notes__
    assert note.startswith(
        f"a StepError stands for it: {__name__}:local.<locals>.Local is defined inside of a function"
    )
    [note] = Failure("nowhere:X", "m").revive().__notes__
    assert "not to be imported here by its name" in note


def test_what_is_left_out_of_a_group_or_a_chain_is_said() -> None:
    group = Failure.of(ExceptionGroup("many", [ValueError(index) for index in range(500)])).revive()
    assert isinstance(group, ExceptionGroup)
    assert len(group.exceptions) == 199
    assert group.__notes__ == ["301 more exceptions of this group were not kept"]
    assert str(group) == "many (500 sub-exceptions)"
    error: BaseException | None = Failure.of(chain(100)).revive()
    while error is not None and error.__cause__ is not None:
        error = error.__cause__
    assert error is not None
    assert error.__notes__[0] == "what led to this, further back, was not kept"
    assert not hasattr(Failure.of(cyclic()).revive().__cause__, "__notes__")


@pytest.mark.parametrize("text", ["", "[]", "{}", "3", '{"type":"a"}', '{"type":"a","message":"b","cause":3}'])
def test_what_is_no_failure_is_not_readable(text: str) -> None:
    with pytest.raises(ValueNotReadable):
        Failure.from_json(text)


def test_fields_of_later_versions_are_passed_over() -> None:
    assert Failure.from_json('{"type":"a:B","message":"m","later":1}') == Failure("a:B", "m")


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters())
    | st.binary()
    | st.builds(object)
    | st.builds(Path)
    | st.datetimes(timezones=st.none() | st.timezones())
    | st.timedeltas()
    | st.sampled_from([Code.LOW, Flags.A, Flags.A | Flags.B, int, list[int], Data(3), KeyError("k"), len]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner)
        | st.dictionaries(st.text(st.characters()) | st.integers(), inner, max_size=3)
    ),
    max_leaves=6,
)
KINDS: list[Any] = [
    *(ValueError, KeyError, OSError, SystemExit, Slots, BrokenStr, ImportError, StopIteration, StepTimeout),
    *(AttributeError, FileNotFoundError, Boxed, Boxed[int], local().__class__),
]
leaves = st.builds(
    lambda kind, args, attributes, notes: _with(kind(*args), attributes, notes),
    st.sampled_from(KINDS),
    st.lists(anything, max_size=4),
    st.dictionaries(st.text(), anything, max_size=2),
    st.lists(st.text(st.characters()), max_size=2),
)


def _with(error: BaseException, attributes: dict[str, object], notes: list[str]) -> BaseException:
    peek(error, "__dict__").update(attributes)
    for note in notes:
        BaseException.add_note(error, note)
    return error


def _chained(error: BaseException, cause: BaseException, explicit: bool) -> BaseException:
    with contextlib.suppress(BaseException):
        if explicit:
            raise error from cause
        error.__context__ = cause
    return error


errors = st.recursive(
    leaves,
    lambda inner: (
        st.builds(BaseExceptionGroup, st.text(), st.lists(inner, min_size=1, max_size=3))
        | st.builds(_chained, inner, leaves, st.booleans())
    ),
    max_leaves=6,
)


@given(errors)
def test_any_error_is_recorded_and_revived_and_the_same_when_recorded_again(error: BaseException) -> None:
    failure = Failure.of(error)
    everything(failure)
    revived = failure.revive()
    if isinstance(revived, StepError):
        assert revived.message == failure.message
        return
    assert text_of(revived, MAX_TEXT) == failure.message
    assert revived.__class__ is type(error)
    there = peek(error, "__dict__")
    for name in {*failure.attributes, *failure.lost} & {*there}:
        if name in failure.attributes:
            assert repr(peek(revived, "__dict__")[name]) == repr(there[name])
        else:
            with pytest.raises((AttributeError, RuntimeError), match=r"was not kept|^[^ ]*$"):
                getattr(revived, name)
