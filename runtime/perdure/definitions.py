"""Definitions of steps and workflows: the function, its name and policy, and how its values are written.

`decorators` makes these, and the engine reads them. Nothing here calls a step.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from .errors import DefinitionError
from .module_names import module_name
from .names import RESERVED_PREFIX, check_name
from .retry import Retry
from .serialization.arguments import Signature
from .serialization.codec import ValueCodec
from .serialization.fingerprint import Fingerprint

__all__ = ["StepDefinition", "WorkflowDefinition", "definition_of", "innermost", "register", "registered"]

MAX_CLEANUP = 86_400.0
"""Longest cleanup of a cancelled run, in seconds. `declare_cleanup.sql` refuses a longer one."""


class StepDefinition:
    """A function as a step: its name in keys, its policy and how its results are written.

    Attributes:
        timeout: seconds for one try.
        database: whether the step runs in a transaction that commits with its checkpoint.
        fingerprint: takes the fingerprints of its calls; None: replay does not compare their arguments.
        marked: the function that `@step` returned; None for a step without a decorator.
        entered: whether the hint of its result has been resolved, which is done before its body runs for the first
            time.
    """

    __slots__ = (
        "codec",
        "database",
        "entered",
        "fingerprint",
        "function",
        "is_async",
        "marked",
        "name",
        "retry",
        "timeout",
    )

    def __init__(
        self,
        function: Callable[..., Any],
        name: str,
        *,
        retry: Retry | None = None,
        timeout: float | None = None,
        database: bool = False,
        fingerprint: Fingerprint | None = None,
        reserved: bool = False,
    ) -> None:
        check_name(name, "step")
        if name.startswith(RESERVED_PREFIX) and not reserved:
            raise DefinitionError(
                f"step {name!r}: names that begin with {RESERVED_PREFIX!r} are Perdure's own; use another name"
            )
        if timeout is not None and not timeout > 0:
            raise DefinitionError(f"step {name!r}: timeout={timeout!r}; a timeout is a number of seconds above 0")
        if retry is not None and not isinstance(retry, Retry):
            raise DefinitionError(f"step {name!r}: retry={retry!r}; use Retry(tries=...)")
        _refuse_generator(function, "step", name)
        self.function = function
        self.name = name
        self.retry = retry
        self.timeout = timeout
        self.database = database
        self.fingerprint = fingerprint
        self.marked: object = None
        self.entered = False
        self.is_async = _is_async(innermost(function))
        self.codec = ValueCodec.for_result(function, f"step {name!r}")

    def enter(self) -> None:
        """Resolve the hint of its result, so that a hint which cannot be resolved is an error before the body runs.

        The definition is too early for that: classes further down in the module are not defined yet.

        Raises:
            DefinitionError: the hint cannot be evaluated, or values cannot be read by it.
        """
        self.codec.prepare()
        self.entered = True


class WorkflowDefinition:
    """A function as a workflow.

    Attributes:
        entrypoint: `module:function`, by which any process finds the function.
        cleanup: seconds that its code has to clean up once its run is cancelled; None: a cancelled run ends at once.
        marked: the function that `@workflow` returned; the entrypoint must name it.
    """

    __slots__ = ("_result", "_signature", "cleanup", "entrypoint", "function", "is_async", "marked")

    def __init__(self, function: Callable[..., Any], *, cleanup: float | None = None) -> None:
        name = getattr(function, "__qualname__", "")
        if not inspect.isfunction(function):
            raise DefinitionError(f"@workflow goes on a function, not on a {type(function).__name__}")
        if name.endswith("<lambda>"):
            raise DefinitionError(
                "a lambda cannot be a workflow: another process could not find it; write a function with a name"
            )
        _refuse_generator(function, "workflow", name)
        if cleanup is not None and not (_is_number(cleanup) and 0 < cleanup <= MAX_CLEANUP):
            raise DefinitionError(
                f"workflow {name!r}: cleanup={cleanup!r}; it is a number of seconds above 0, up to {MAX_CLEANUP:g}"
            )
        self.function = function
        self.cleanup = None if cleanup is None else float(cleanup)
        self.marked: object = None
        self.is_async = inspect.iscoroutinefunction(function)
        self.entrypoint = f"{module_name(function.__module__)}:{name}"
        self._signature: Signature | None = None
        self._result: ValueCodec | None = None

    @property
    def findable(self) -> bool:
        """Whether another process can import the function by its entrypoint."""
        return "." not in self.entrypoint.partition(":")[2]

    def check_reachable(self) -> None:
        """Check that the entrypoint names the function that `@workflow` returned: a run would skip a decorator above.

        Raises:
            DefinitionError: the entrypoint names another object.
        """
        if self.findable:
            module = sys.modules.get(self.function.__module__)
            self.check_outermost(getattr(module, self.entrypoint.partition(":")[2], self.marked))

    def check_outermost(self, found: object) -> None:
        """Check that `found`, the program's object for this workflow, is the function that `@workflow` returned.

        Raises:
            DefinitionError: `found` is another object.
        """
        if found is self.marked:
            return
        name = self.entrypoint.partition(":")[2]
        if found is self.function:
            raise DefinitionError(
                f"workflow {self.entrypoint!r}: {name!r} is the function without @workflow, so no other process would"
                f" find the workflow; write @workflow above `def {name}`"
            )
        raise DefinitionError(
            f"workflow {self.entrypoint!r}: {name!r} is something else than what @workflow gave ({_described(found)}):"
            " it was decorated again, and a run would leave that out without a word; put @workflow on top, above the"
            " other decorators, or give them a function of their own that calls this one"
        )

    @property
    def signature(self) -> Signature:
        """How the input is written and read."""
        if self._signature is None:
            self._signature = Signature.of(self.function, f"workflow {self.entrypoint.partition(':')[2]!r}")
        return self._signature

    @property
    def result(self) -> ValueCodec:
        """How the result is written and read."""
        if self._result is None:
            self._result = ValueCodec.for_result(self.function, f"workflow {self.entrypoint.partition(':')[2]!r}")
        return self._result


_registry: dict[str, WorkflowDefinition] = {}


def registered() -> dict[str, WorkflowDefinition]:
    """The workflows that this process has marked, by entrypoint."""
    return dict(_registry)


def register(definition: WorkflowDefinition) -> None:
    """Add a workflow that this process has marked."""
    _registry[definition.entrypoint] = definition


def definition_of(workflow: object) -> WorkflowDefinition | None:
    """The definition of a marked function, or of an entrypoint that this process has registered; None for others.

    Raises:
        DefinitionError: the marked function was decorated again.
    """
    if isinstance(workflow, str):
        return _registry.get(workflow)
    found = getattr(workflow, "definition", None)
    if not isinstance(found, WorkflowDefinition):
        return None
    found.check_outermost(workflow)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def innermost(function: Any) -> Any:
    """The function within its `functools.partial`s."""
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _described(found: object) -> str:
    name = getattr(found, "__qualname__", None)
    return f"the function {name!r}" if inspect.isfunction(found) and name else f"a {type(found).__name__}"


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or (
        not isinstance(function, type) and inspect.iscoroutinefunction(type(function).__call__)
    )


def _refuse_generator(function: Callable[..., Any], what: str, name: str) -> None:
    inner = innermost(function)
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise DefinitionError(
            f"{what} {name!r} is a generator: what it yields could not be recorded one by one;"
            " return a list, or make each item a step"
        )
