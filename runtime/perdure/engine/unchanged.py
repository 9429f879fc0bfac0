"""The check that a step's body leaves its arguments as they were.

What a body changes in place is there when the body ran, and is missing on a replay, which does not run it. So a change
is an error at the first run. It is looked for only where nobody but the body can have made it: where the run has no
other branch and no callback of its own, or where the body holds the loop that those need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import MutationError

if TYPE_CHECKING:
    from ..definitions import StepDefinition
    from ..serialization.fingerprint import Taken
    from .branch import Branch

__all__ = ["ArgumentGuard", "guard_arguments"]


class ArgumentGuard:
    """Compares the arguments of one call with what they were before its first try."""

    __slots__ = ("_args", "_kwargs", "_step", "_taken")

    def __init__(self, step: StepDefinition, taken: Taken, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._step = step
        self._taken = taken
        self._args = args
        self._kwargs = kwargs

    def check(self) -> None:
        """After a try that returned.

        Raises:
            MutationError: an argument was changed.
        """
        if (changed := self._changed()) is not None:
            raise changed

    def blame(self, error: BaseException) -> BaseException:
        """After a try that raised: its error, or that it changed an argument, which counts for more."""
        if isinstance(error, MutationError) or (changed := self._changed()) is None:
            return error
        changed.__cause__ = error
        return changed

    def _changed(self) -> MutationError | None:
        fingerprint = self._step.fingerprint
        name = None if fingerprint is None else fingerprint.changed(self._taken, self._args, self._kwargs)
        if name is None:
            return None
        advice = (
            " A method's 'self' may be a value that its steps do not change, such as a frozen dataclass, or an object"
            " that is not a value, such as a client, on whose state the workflow does not depend."
            if name == "self"
            else ""
        )
        return MutationError(
            f"step {self._step.name!r} changed its argument {name!r} in place. This process would go on with the"
            " changed value, and a replay, which does not run the step again, with the unchanged one. Let the step"
            f" work on a copy and return it, and use what it returns.{advice} If the change does not matter to the"
            f" workflow, exclude the argument: @step(fingerprint_exclude=({name!r},))"
        )


def guard_arguments(
    step: StepDefinition, branch: Branch, taken: Taken, args: tuple[Any, ...], kwargs: dict[str, Any], *, inline: bool
) -> ArgumentGuard | None:
    """The check for a call that is about to run with arguments that can be changed; None where others may do so."""
    attempt = branch.attempt
    # What holds the loop is disturbed by threads alone.
    undisturbed = attempt.scheduler.undisturbed or (
        inline and not attempt.has_threads and not attempt.scheduler.outside
    )
    return ArgumentGuard(step, taken, args, kwargs) if undisturbed else None
