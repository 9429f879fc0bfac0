"""Marking functions as workflows and steps.

Outside of a run a call of a marked function is a plain call. In a run the engine executes the call of a step. A
workflow that is called in a workflow runs inline, as a part of it.
"""

from __future__ import annotations

import functools
import inspect
import sys
import types
from collections.abc import Awaitable, Callable, Collection
from typing import Any, ParamSpec, TypeVar, overload

from .definitions import StepDefinition, WorkflowDefinition, innermost, register
from .engine.branches.context import branch_here
from .engine.order.outcome import forget_frames
from .engine.steps.step_call import call, call_async
from .errors import DefinitionError
from .retry import Retry
from .serialization.fingerprint import Fingerprint
from .serialization.type_hints import remember_names

__all__ = ["run_step", "step", "workflow"]

P = ParamSpec("P")
R = TypeVar("R")


@overload
def workflow(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def workflow(*, cleanup: float | None = None) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def workflow(function: Callable[..., Any] | None = None, /, *, cleanup: float | None = None) -> Any:
    """Mark a function, sync or async, as a workflow.

    Its input and result are JSON values, read and written by its type hints. Its code between steps runs again on
    recovery, and must do the same again if its steps have the same outcomes. Everything else belongs into steps.

    Args:
        function: the function.
        cleanup: seconds that its code has to clean up once the run is cancelled. The cancellation is raised in the code
            once: as `CancelledError` in an async workflow, as `RunCancelled` at the next step or wait of a sync one.
            The code goes on from there, and may call steps. By default a cancelled run ends without another step.

    Raises:
        DefinitionError: the function cannot be a workflow.
    """
    if function is None:
        return functools.partial(_mark_workflow, cleanup=cleanup)
    return _mark_workflow(function, cleanup=cleanup)


def _mark_workflow(function: Callable[P, R], *, cleanup: float | None) -> Callable[P, R]:
    definition = WorkflowDefinition(function, cleanup=cleanup)
    if not definition.findable:
        remember_names(function, _defining_frame())
    definition.signature  # noqa: B018  refused here and not at the first run

    if definition.is_async:

        @functools.wraps(function)
        async def inline_async(*args: P.args, **kwargs: P.kwargs) -> Any:
            return await function(*args, **kwargs)  # type: ignore[misc]

        wrapper: Any = inline_async
    else:

        @functools.wraps(function)
        def inline(*args: P.args, **kwargs: P.kwargs) -> R:
            return function(*args, **kwargs)

        wrapper = inline
    wrapper.definition = definition
    definition.marked = wrapper
    register(definition)
    return wrapper  # type: ignore[no-any-return]


@overload
def step(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def step(
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    database: bool = False,
    fingerprint: bool = True,
    fingerprint_exclude: Collection[str] = (),
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def step(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    retry: Retry | None = None,
    timeout: float | None = None,
    database: bool = False,
    fingerprint: bool = True,
    fingerprint_exclude: Collection[str] = (),
) -> Any:
    """Mark a function, sync or async, as a step: its outcome is stored, and after that the step does not run again.

    Args:
        function: the function.
        name: its name in step keys; the function's own by default.
        retry: when and how often it is tried again; not at all by default.
        timeout: seconds for one try. An async step is cancelled. A sync one is left behind in its thread, where an
            exception is raised at its next line of Python.
        database: run it in a transaction on the store's database that commits with its checkpoint, exactly once; the
            connection is `step_context().connection`.
        fingerprint: store a hash of the call's arguments with its outcome. A replay then gives the outcome to a call
            with the same arguments only, and a body that changes its arguments in place is an error.
        fingerprint_exclude: names of parameters that the hash leaves out.

    Raises:
        DefinitionError: the function cannot be a step, or the name cannot name one.
    """
    options: dict[str, Any] = {"retry": retry, "timeout": timeout, "database": database}
    excluded = fingerprint_exclude if fingerprint else None
    if function is None:
        return functools.partial(_mark_step, name=name, options=options, excluded=excluded)
    return _mark_step(function, name=name, options=options, excluded=excluded)


def _mark_step(
    function: Callable[..., Any], *, name: str | None, options: dict[str, Any], excluded: Collection[str] | None
) -> Any:
    if isinstance(function, staticmethod | classmethod):
        raise DefinitionError("put @step below @staticmethod or @classmethod, next to the function")
    if not callable(function) or isinstance(function, type):
        raise DefinitionError(f"@step goes on a function, not on {function!r}")
    name = name or step_name_of(function)
    fingerprint = None if excluded is None else _fingerprint_of(function, name, excluded)
    definition = StepDefinition(function, name, fingerprint=fingerprint, **options)
    if "<locals>" in getattr(function, "__qualname__", ""):
        remember_names(function, _defining_frame())
    wrapper = _wrapper(definition)
    wrapper.definition = definition
    definition.marked = wrapper
    return wrapper


def _fingerprint_of(function: Callable[..., Any], name: str, excluded: Collection[str]) -> Fingerprint:
    if isinstance(excluded, str):
        raise DefinitionError(f"step {name!r}: fingerprint_exclude is a tuple of names: ({excluded!r},)")
    try:
        return Fingerprint(function, excluded)
    except DefinitionError as error:
        raise DefinitionError(f"step {name!r}: {error}") from None


def _wrapper(definition: StepDefinition) -> Any:
    function, name = definition.function, definition.name
    if definition.is_async:

        @functools.wraps(function)
        async def durable_async(*args: Any, **kwargs: Any) -> Any:
            branch = branch_here(name)
            if branch is None:
                return await function(*args, **kwargs)
            try:
                return await call_async(definition, branch, args, kwargs)
            except BaseException as error:
                forget_frames(error)
                raise

        return durable_async

    @functools.wraps(function)
    def durable(*args: Any, **kwargs: Any) -> Any:
        branch = branch_here(name)
        if branch is None:
            return function(*args, **kwargs)
        try:
            return call(definition, branch, args, kwargs)
        except BaseException as error:
            forget_frames(error)
            raise

    return durable


@overload
def run_step(name: str, function: Callable[P, Awaitable[R]], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]: ...


@overload
def run_step(name: str, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R: ...


def run_step(name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    """Run a function as a step of this name, without a decorator; await it if the function is async.

    A function that is a step already runs under this name, with its own policy. The same holds for a step that was
    decorated again, and for a bound method or a `partial` of a step: the code around the step runs, too.
    """
    marked = getattr(innermost(function), "definition", None)
    if isinstance(marked, StepDefinition):
        # Inside of the new step a call of the marked step is a plain call.
        inner = marked.function if function is marked.marked else function
        definition = StepDefinition(
            inner,
            name,
            retry=marked.retry,
            timeout=marked.timeout,
            database=marked.database,
            fingerprint=None if marked.fingerprint is None else marked.fingerprint.like(inner),
        )
        definition.is_async = definition.is_async or marked.is_async
    elif inspect.isfunction(function):
        local = "<locals>" in function.__qualname__
        definition = (_local_definition if local else _definition_for)(function, name)
    else:
        # Not kept: other callables may be equal to each other, or have no hash.
        definition = StepDefinition(function, name, fingerprint=Fingerprint(function))
    return _wrapper(definition)(*args, **kwargs)


@functools.lru_cache(maxsize=1024)
def _definition_for(function: Callable[..., Any], name: str) -> StepDefinition:
    return StepDefinition(function, name, fingerprint=Fingerprint(function))


def _local_definition(function: Callable[..., Any], name: str) -> StepDefinition:
    """As `_definition_for`, kept in the function itself: a cache would keep alive all that the function refers to."""
    known: dict[str, StepDefinition] = function.__dict__.setdefault(_KEPT, {})
    found = known.get(name)
    # `functools.wraps` copies the attribute from the wrapped function to the wrapper.
    if found is None or found.function is not function:
        if not known:
            remember_names(function, _defining_frame())
        elif found is not None:
            known = function.__dict__[_KEPT] = {}
        found = known[name] = StepDefinition(function, name, fingerprint=Fingerprint(function))
    return found


_KEPT = "__perdure_steps__"


def _defining_frame() -> types.FrameType | None:
    """The frame from which this module was called."""
    frame: types.FrameType | None = sys._getframe(1)  # noqa: SLF001 - there is no other way to it
    while frame is not None and frame.f_globals is globals():
        frame = frame.f_back
    return frame


def step_name_of(function: Callable[..., Any]) -> str:
    """The name that a function gives its step.

    Raises:
        DefinitionError: the function has no name of its own.
    """
    name = getattr(innermost(function), "__name__", "")
    if not name or name == "<lambda>":
        raise DefinitionError("a lambda has no name for its step: use run_step('name', ...) or @step(name='...')")
    return str(name)
