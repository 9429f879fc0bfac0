"""The check that a step's body does not change its arguments.

A change that a body makes in place is missing on replay, which does not run the body. So a change is an error when the
body runs. The check is made only where no other code can have made the change: where the run has no other branch and no
callback of its own, or where the body holds the loop that those need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...errors import MutationError

if TYPE_CHECKING:
    from ...definitions import StepDefinition
    from ...serialization.fingerprint import Taken
    from .branch import Branch

__all__ = ["ArgumentGuard", "guard_arguments"]


class ArgumentGuard:
    """Compares the arguments of one call with their values from before its first try."""

    __slots__ = ("_args", "_kwargs", "_step", "_taken")

    def __init__(self, step: StepDefinition, taken: Taken, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._step = step
        self._taken = taken
        self._args = args
        self._kwargs = kwargs

    def check(self) -> None:
        """Compare after a try that returned.

        Raises:
            MutationError: an argument was changed.
        """
        if (changed := self._changed()) is not None:
            raise changed

    def blame(self, error: BaseException) -> BaseException:
        """Compare after a try that raised. Returns a `MutationError` if an argument was changed, or else the error."""
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
    """The guard of a call whose arguments can be changed; None where other code may change them during the call."""
    attempt = branch.attempt
    # Only threads can disturb a body that holds the loop.
    undisturbed = attempt.scheduler.undisturbed or (
        inline and not attempt.has_threads and not attempt.scheduler.outside
    )
    return ArgumentGuard(step, taken, args, kwargs) if undisturbed else None
