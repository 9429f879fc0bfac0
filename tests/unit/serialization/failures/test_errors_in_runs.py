"""What a workflow sees of its steps' exceptions: the same when they are raised as when they are raised again."""

from __future__ import annotations

import asyncio
import re
import subprocess
import traceback
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from pydantic import BaseModel, field_validator

import perdure
from perdure import run_step, step, workflow
from perdure.errors import StepError
from perdure.testing import DurableRun, kills
from tests.harness.replayed import caught


class Limited(Exception):
    """A default that somebody overrides, in a way that JSON does not have."""

    retry_after = timedelta(seconds=60)

    def __init__(self, message: str, *, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        if retry_after is not None:
            self.retry_after = retry_after


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


class Order(BaseModel):
    lines: list[int]
    kind: str

    @field_validator("kind")
    @classmethod
    def known(cls, kind: str) -> str:
        if kind != "known":
            raise ValueError(f"kind {kind} is unknown")
        return kind


def limited() -> None:
    raise Limited("slow down", retry_after=timedelta(seconds=5))


def status() -> None:
    raise StatusError("404", response=Response())


def chained() -> None:
    try:
        try:
            dict[str, int]()["deep"]
        except KeyError:
            int("shallow")
    except ValueError as error:
        error.add_note("seen")
        raise Limited("caused") from error


def hidden() -> None:
    try:
        int("x")
    except ValueError:
        raise OSError(2, "no", "/x") from None


def grouped() -> None:
    try:
        limited()
    except Limited as error:
        raise ExceptionGroup("both", [error, ExceptionGroup("deep", [KeyError("k"), StatusError("s")])]) from error


def invalid() -> None:
    Order.model_validate({"lines": ["x", 2, object()], "kind": "new"})


def called() -> None:
    subprocess.run(["sh", "-c", "echo out; exit 3"], check=True, capture_output=True)


def arguments() -> None:
    raise ValueError("with", Response(), {"n": [1]})


def local() -> None:
    class Local(Exception): ...

    raise Local("here")


def leaves() -> None:
    raise SystemExit(4)


RAISES: dict[str, Callable[[], None]] = {
    one.__name__: one for one in (limited, status, chained, hidden, grouped, invalid, called, arguments, local, leaves)
}


KINDS = (Limited, StatusError, StepError, ValueError, OSError)


def state(error: BaseException | None) -> Any:
    """All that a handler can see of an exception."""
    if error is None:
        return None
    return {
        "type": type(error).__qualname__,
        "is": [
            kind.__name__ for kind in (Limited, StatusError, StepError, ValueError, OSError) if isinstance(error, kind)
        ],
        "texts": [str(error), repr(error), repr(error.args)],
        "attributes": {name: repr(value) for name, value in vars(error).items() if name != "_failure"},
        "traceback": "".join(traceback.format_exception(error)),
        "cause": state(error.__cause__),
        "context": state(error.__context__),
        "suppressed": error.__suppress_context__,
        "same": error.__cause__ is error.__context__,
        "members": [state(one) for one in getattr(error, "exceptions", [])],
    }


@step
def fails(name: str) -> None:
    RAISES[name]()


@step
async def fails_async(name: str) -> None:
    await asyncio.sleep(0)
    RAISES[name]()


@step(timeout=30)
def fails_in_a_thread(name: str) -> None:
    RAISES[name]()


@workflow
def sync(name: str) -> Any:
    seen = []
    for one in (fails, fails_in_a_thread):
        try:
            try:
                dict[str, int]()["handled by the workflow"]
            except KeyError:
                one(name)
        except BaseException as error:
            if isinstance(error, perdure.errors.ControlSignal):
                raise
            seen.append(state(error))
    run_step("end", int)
    return seen


@workflow
async def lone(name: str) -> Any:
    try:
        await fails_async(name)
    except (Exception, SystemExit) as error:
        seen = state(error)
    run_step("end", int)
    return seen


@workflow
async def among_others(name: str) -> Any:
    async def one() -> Any:
        try:
            await fails_async(name)
        except (Exception, SystemExit) as error:
            return state(error)

    seen = await asyncio.gather(one(), one())
    run_step("end", int)
    return seen


@pytest.mark.parametrize("name", RAISES)
@pytest.mark.parametrize("flow", [sync, lone, among_others])
def test_all_that_a_handler_sees_is_the_same_live_and_on_replay(flow: Callable[..., Any], name: str) -> None:
    live = DurableRun(flow, name).result()

    assert live
    replayed = [run.result() for run in kills(flow, name)]
    assert len(replayed) == {sync: 6, lone: 4, among_others: 6}[flow]
    # Where another object was in its place in memory, that is another text.
    assert [at_no_place(one) for one in replayed] == [at_no_place(live)] * len(replayed)


def at_no_place(seen: Any) -> str:
    return re.sub(r"0x[0-9a-f]+", "0x", repr(seen))


def test_what_the_handler_sees_is_what_was_raised() -> None:
    for name, raises in RAISES.items():
        if name in ("local", "invalid"):
            continue
        try:
            raises()
        except (Exception, SystemExit) as error:
            plain = state(error)
        seen = DurableRun(lone, name).result()
        assert seen["texts"] == plain["texts"] or name == "arguments"
        assert (seen["is"], seen["suppressed"], seen["same"]) == (plain["is"], plain["suppressed"], plain["same"])
        for behind in ("cause", "context"):
            assert (seen[behind] or {}).get("texts") == (plain[behind] or {}).get("texts")
        assert [one["texts"] for one in seen["members"]] == [one["texts"] for one in plain["members"]]


def test_frames_of_the_library_are_in_no_traceback() -> None:
    seen = DurableRun(sync, "limited").result()

    for one in seen:
        assert "runtime/perdure" not in one["traceback"]
        assert "one(name)" in one["traceback"]
        assert 'raise Limited("slow down"' in one["traceback"]


# --- single things


def test_a_default_does_not_stand_in_for_what_was_passed() -> None:
    error = caught(limited)

    assert isinstance(error, Limited)
    assert error.retry_after == timedelta(seconds=5)


def with_function() -> None:
    error = Limited("x")
    error.retry_after = len  # type: ignore[assignment]
    raise error


def test_nor_for_what_was_not_kept() -> None:
    error = caught(with_function)

    assert isinstance(error, Limited)
    with pytest.raises(AttributeError, match="'retry_after' of this Limited was not kept; it was builtin_function"):
        error.retry_after  # noqa: B018
    error.retry_after = timedelta(1)
    assert error.retry_after == timedelta(1)
