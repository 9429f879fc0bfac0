"""Every error that Perdure raises, in one tree, and the signals that end an attempt.

    PerdureError(Exception)
    ├── UsageError                the program uses Perdure in a way that it does not support
    │   ├── DefinitionError         a function that cannot be a workflow or a step, or a name that cannot name one
    │   ├── EntrypointError         a module or function that is not there, or is not a workflow
    │   ├── MutationError           a step that changed its arguments in place
    │   ├── StepCallError           a step called from where no branch of the run is: a raw thread, a fork, after its end
    │   └── TransactionError        a database step that ended its own transaction
    ├── ValueProblem              a value that does not fit
    │   ├── InputError              input that does not fit the workflow's signature
    │   ├── ValueNotStorable        a value that would not survive being written and read back
    │   └── ValueNotReadable        a stored value that no longer fits its type
    ├── NondeterminismError       the workflow does not repeat the calls that its checkpoints record
    ├── StepError                 a step's recorded error whose own type cannot be rebuilt here
    ├── StepTimeout               a step that ran longer than its timeout
    ├── RunError                  about one run, as its client sees it
    │   ├── RunNotFound
    │   ├── RunConflict             the id is taken by a run with another input or workflow
    │   ├── RunFailed               the run ended with an error
    │   ├── BackoffLimitExceeded    its attempts kept dying without a new checkpoint
    │   ├── DisruptionLimitExceeded its attempts kept being disrupted without a new checkpoint
    │   ├── DeadlineExceeded        it had not ended by its deadline
    │   ├── RunWasCancelled         the run ended cancelled
    │   ├── CleanupCut              it was cancelled, and its cleanup had not ended in its time
    │   └── ResultTimeout           the run has not ended within the time given
    ├── WorkerFailed              a worker that ended by itself, without a call of `stop`
    └── StoreError
        ├── StoreUnavailable        no answer for as long as the caller was ready to wait
        ├── StoreChanged            the server is not the one on which the attempt began
        └── SchemaMismatch          this client and this schema do not work together

    ControlSignal(BaseException)  ends an attempt; `except Exception` does not see it
    ├── Superseded                another attempt owns the run
    ├── RunCancelled              the run's cancellation was requested
    ├── Released                this process releases the run, to be continued elsewhere
    └── RunStopped                an error that workflow code must not handle ends the run
"""

from __future__ import annotations

__all__ = [
    "BackoffLimitExceeded",
    "CleanupCut",
    "ControlSignal",
    "DeadlineExceeded",
    "DefinitionError",
    "DisruptionLimitExceeded",
    "EntrypointError",
    "InputError",
    "MutationError",
    "NondeterminismError",
    "PerdureError",
    "Released",
    "ResultTimeout",
    "RunCancelled",
    "RunConflict",
    "RunError",
    "RunFailed",
    "RunNotFound",
    "RunStopped",
    "RunWasCancelled",
    "SchemaMismatch",
    "StepCallError",
    "StepError",
    "StepTimeout",
    "StoreChanged",
    "StoreError",
    "StoreUnavailable",
    "Superseded",
    "TransactionError",
    "UsageError",
    "ValueNotReadable",
    "ValueNotStorable",
    "ValueProblem",
    "WorkerFailed",
]


class PerdureError(Exception):
    """The base of everything that Perdure raises for a program to handle."""


class UsageError(PerdureError):
    """The program uses Perdure in a way that it does not support."""


class DefinitionError(UsageError):
    """A function that cannot be a workflow or a step, or a name that cannot name one."""


class EntrypointError(UsageError):
    """An entrypoint whose module or function is not there, or is not a workflow."""


class StepCallError(UsageError):
    """A step was called from a place where no branch of its run is."""


class MutationError(UsageError):
    """A step changed one of its arguments in place, which a replay would not repeat; the message names it."""


class TransactionError(UsageError):
    """A database step ended the transaction that was to commit with its checkpoint."""


class ValueProblem(PerdureError):
    """A value does not fit where it is to go; the message names it."""


class InputError(ValueProblem):
    """Input does not fit the workflow's signature; the message names the argument."""


class ValueNotStorable(ValueProblem):
    """A value would not survive being written as JSON and read back by its type."""


class ValueNotReadable(ValueProblem):
    """A stored value no longer fits the type that it is to be read as."""


class NondeterminismError(PerdureError):
    """The workflow does not repeat the step calls that its checkpoints record."""


class StepError(PerdureError):
    """A step's recorded error whose own type cannot be rebuilt in this process.

    Attributes:
        type: ``module:qualname`` of the exception as it was raised.
        message: what ``str()`` of it gave.
        traceback: its formatted traceback, as text.
    """

    def __init__(self, message: str, *, type: str, traceback: str = "") -> None:
        super().__init__(message)
        self.type = type
        self.message = message
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type}: {self.message}" if self.message else self.type

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_step_error, (self.message, self.type, self.traceback)


def _rebuild_step_error(message: str, type: str, traceback: str) -> StepError:
    return StepError(message, type=type, traceback=traceback)


class StepTimeout(PerdureError, TimeoutError):
    """A step ran longer than its timeout."""


class RunError(PerdureError):
    """Something about one run, as its client sees it."""


class RunNotFound(RunError, LookupError):
    """No run has this id."""


class RunConflict(RunError):
    """The id belongs to a run of another workflow or with another input."""


class RunFailed(RunError):
    """The run ended with an error, which is this error's ``__cause__`` where it can be rebuilt."""


class BackoffLimitExceeded(RunError):
    """The run's attempts kept dying without a new checkpoint; this is its recorded error."""


class DisruptionLimitExceeded(RunError):
    """The run's attempts kept being disrupted without a new checkpoint; this is its recorded error."""


class DeadlineExceeded(RunError):
    """The run had not ended by its deadline; this is its recorded error."""


class RunWasCancelled(RunError):
    """The run ended cancelled."""


class CleanupCut(RunError):
    """The run was cancelled, and was ended before its cleanup was done; this is its recorded error."""


class ResultTimeout(RunError, TimeoutError):
    """The run has not ended within the time that the caller gave; it goes on."""


class WorkerFailed(PerdureError):
    """A worker ended by an error of its own, which is this error's ``__cause__``; its runs go on in others."""


class StoreError(PerdureError):
    """The store cannot be used."""


class StoreUnavailable(StoreError):
    """The store gave no answer for as long as the caller was ready to wait."""


class StoreChanged(StoreError):
    """The server is not the one on which the attempt began: another system, or a promoted standby."""


class SchemaMismatch(StoreError):
    """This client and the schema of this store do not work together."""


class ControlSignal(BaseException):
    """Ends an attempt from inside workflow code, past every ``except Exception``."""


class Superseded(ControlSignal):
    """Another attempt owns the run; nothing that this one writes is accepted."""


class RunCancelled(ControlSignal):
    """The run's cancellation was requested."""


class Released(ControlSignal):
    """This process releases the run, to be continued elsewhere."""


class RunStopped(ControlSignal):
    """An error that workflow code must not handle, such as `NondeterminismError`, ends the run.

    Attributes:
        error: the one that the run's outcome records.
    """

    def __init__(self, error: PerdureError) -> None:
        super().__init__(str(error))
        self.error = error
