"""Whoever owns a thread learns what ended it, and every thread of the product has an owner."""

from __future__ import annotations

import ast
import contextvars
import gc
import threading
import weakref
from pathlib import Path

import pytest

import perdure
from perdure.owned_thread import OwnedThread

NAME = contextvars.ContextVar("NAME", default="nothing")


class Thing:
    pass


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1), KeyboardInterrupt()])
def test_owner_learns_of_a_death(error: BaseException) -> None:
    seen: list[tuple[BaseException, str]] = []

    def work() -> None:
        raise error

    thread = OwnedThread(work, name="one", died=lambda e: seen.append((e, threading.current_thread().name))).start()
    thread.join(10)
    assert seen == [(error, "one")]
    assert not thread.is_alive()


def test_end_that_is_no_death() -> None:
    seen: list[BaseException] = []
    OwnedThread(lambda: None, name="one", died=seen.append).start().join(10)
    assert seen == []


def test_context_of_the_starter_is_not_its_own() -> None:
    seen: list[str] = []
    NAME.set("something")
    OwnedThread(lambda: seen.append(NAME.get()), name="one", died=seen.append).start().join(10)  # type: ignore[arg-type]
    assert seen == ["nothing"]


def test_ended_thread_holds_nothing_of_its_work() -> None:
    thing = Thing()
    seen = weakref.ref(thing)
    thread = OwnedThread(lambda thing=thing: None, name="one", died=print).start()  # type: ignore[misc]
    thread.join(10)
    del thing
    gc.collect()
    assert seen() is None
    assert thread.name == "one"


OWNERLESS = {"Thread", "start_new_thread"}
OUTSIDE = {"owned_thread.py"}
USER_CODE = {"engine/threads/threads.py", "engine/steps/step_body.py", "engine/threads/thread_guards.py"}
"""Whose threads run the code of workflows and steps, and end with what that raised."""


def _bare_threads(file: Path) -> list[int]:
    """The lines in which a module starts a thread of the standard library."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if ast.unparse(call.func).removeprefix("_").rpartition(".")[2] in OWNERLESS]


def test_no_thread_is_started_without_an_owner() -> None:
    package = Path(perdure.__file__).parent
    ours = {str(file.relative_to(package)): file for file in package.rglob("*.py")}
    found = {place: lines for place, file in ours.items() if (lines := _bare_threads(file))}
    assert found.keys() <= OUTSIDE | USER_CODE, found
