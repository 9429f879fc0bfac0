"""Starting a run: the request, checked, and whether a run that has its id already is the same."""

from __future__ import annotations

import json
import os
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID, uuid4

from .definitions import WorkflowDefinition, definition_of
from .errors import InputError, RunConflict, UsageError
from .names import check_id
from .serialization.codec import ValueCodec
from .serialization.storable_text import is_storable
from .store.runs.model import owner_of
from .store.runs.runs import NewRun, RunStore, StoredInput

__all__ = ["Start"]

_DIFFERENCES_SHOWN = 3
_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is to be started; its workflow is known here if `definition` is given."""

    run: NewRun
    definition: WorkflowDefinition | None

    @classmethod
    def of(
        cls,
        workflow: Callable[..., Any] | str,
        args: tuple[object, ...] = (),
        *,
        queue: str,
        id: str | None,
        input: Mapping[str, object] | None,
        backoff_limit: int,
        deadline: float | None = None,
        origin: str | None = None,
    ) -> Self:
        """A start with the arguments of `Client.start`; `origin` as of `NewRun`.

        Raises:
            UsageError: something of it makes no sense.
            InputError: the input does not fit the workflow.
        """
        definition = definition_of(workflow)
        entrypoint = _entrypoint(workflow, definition)
        _check_limits(backoff_limit, deadline)
        run = NewRun(
            run_id=uuid4(),
            owner=owner_of(check_id(queue, "name of a queue")),
            id=check_id(id, "id of a run") if id is not None else str(uuid4()),
            entrypoint=entrypoint,
            input=_input(entrypoint, definition, args, input),
            backoff_limit=backoff_limit,
            deadline=deadline,
            cleanup=None if definition is None else definition.cleanup,
            origin=origin,
        )
        return cls(run, definition)

    def begin(self, store: RunStore) -> UUID:
        """Insert the run, or find the one that was started before. Returns the UUID of either.

        Raises:
            RunConflict: the id belongs to a run of another workflow or project, or with another input.
            StoreUnavailable, SchemaMismatch
        """
        stored = store.insert(self.run)
        if stored.run_id != self.run.run_id:
            _check_same(self.run, stored, self.definition)
        return stored.run_id


def _entrypoint(workflow: Callable[..., Any] | str, definition: WorkflowDefinition | None) -> str:
    if definition is not None:
        return definition.entrypoint
    if not isinstance(workflow, str):
        raise UsageError(
            f"{workflow!r} is not a workflow: mark the function @workflow, or name it as 'module:function'"
        )
    module, _, function = workflow.partition(":")
    if not module or not function or not is_storable(workflow):
        raise UsageError(f"{workflow!r} names no workflow: write 'module:function', such as 'bank:transfer'")
    return workflow


def _input(
    entrypoint: str, definition: WorkflowDefinition | None, args: tuple[object, ...], given: Mapping[str, object] | None
) -> str:
    if args and given is not None:
        raise UsageError("give the workflow's arguments by position or as input=, not both")
    if definition is not None:
        return definition.signature.check(given) if given is not None else definition.signature.encode(args, {})
    if args:
        raise UsageError(
            f"workflow {entrypoint!r} is not imported here, so the names of its arguments are not known: give them as"
            " input={'name': value}, or import its module first"
        )
    if given is not None and not isinstance(given, Mapping):
        raise InputError(f"input is an object whose keys are argument names, not {type(given).__name__}")
    codec = ValueCodec.for_hint(dict[str, typing.Any], f"workflow {entrypoint!r}")
    return codec.encode(dict(given or {}))[0]


def _check_limits(backoff_limit: int, deadline: float | None) -> None:
    if isinstance(backoff_limit, bool) or not isinstance(backoff_limit, int) or not 0 <= backoff_limit < 1 << 31:
        raise UsageError(f"backoff_limit={backoff_limit!r}: it is a number of crashes, 0 or more")
    if deadline is not None and not 0 < deadline < float("inf"):
        raise UsageError(f"deadline={deadline!r}: it is a number of seconds above 0")


def _check_same(run: NewRun, stored: StoredInput, definition: WorkflowDefinition | None) -> None:
    """Refuse a start whose id belongs to another run than the one that it would start."""
    there = f"run {run.id!r} of queue {run.owner.partition(':')[2]!r} exists already"
    advice = "use another id, or delete that run first"
    if stored.entrypoint != run.entrypoint:
        raise RunConflict(f"{there}, of workflow {stored.entrypoint}, not {run.entrypoint}; {advice}")
    if _is_elsewhere(run.origin, stored.origin):
        advice = "use another id or another queue, or delete that run first"
        raise RunConflict(f"{there}, of {stored.origin}, not of {run.origin}; {advice}")
    ours, theirs = json.loads(run.input), json.loads(stored.input)
    if _canonical(ours) == _canonical(theirs):
        return
    # Two texts may write the same arguments, such as sets.
    if definition is not None and _calls_the_same(definition, run.input, stored.input):
        return
    raise RunConflict(f"{there}, with another input: {_differences(theirs, ours)}; {advice}")


def _is_elsewhere(ours: str | None, theirs: str | None) -> bool:
    """Whether two runs are of two files that are there. A file that is gone was moved, with its project."""
    if ours is None or theirs is None:
        return False
    try:
        return not os.path.samefile(ours, theirs)
    except OSError:
        return False


def _calls_the_same(definition: WorkflowDefinition, ours: str, theirs: str) -> bool:
    try:
        return definition.signature.same(ours, theirs)
    except InputError:
        # The workflow has changed since; the stored input does not fit it any more.
        return False


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _differences(theirs: Mapping[str, object], ours: Mapping[str, object]) -> str:
    said: list[str] = []
    for name in [*theirs, *(name for name in ours if name not in theirs)]:
        there, here = ("missing" if name not in side else _canonical(side[name])[:_SHOWN] for side in (theirs, ours))
        if name not in theirs or name not in ours or _canonical(theirs[name]) != _canonical(ours[name]):
            said.append(f"{name} is {there} there, {here} here")
    more = f" and {len(said) - _DIFFERENCES_SHOWN} more" if len(said) > _DIFFERENCES_SHOWN else ""
    return ", ".join(said[:_DIFFERENCES_SHOWN]) + more
