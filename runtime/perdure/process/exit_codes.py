"""The exit codes of `perdure exec`, for scripts and for people who read a pod's status.

The store, not the exit code, is the outcome of a run. From 64 up, where `sysexits.h` has its codes, they
speak of the process, not of the workflow.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ExitCode"]


class ExitCode(IntEnum):
    """How one attempt of one run ended, by its process's exit code."""

    SUCCEEDED = 0
    """The workflow returned, and its result is recorded."""

    FAILED = 1
    """The workflow raised, and its error is recorded: no new attempt."""

    USAGE = 64
    """The environment or the command line names no run, or is wrong."""

    NOT_STARTED = 69
    """The attempt could not start: the store, its schema or the entrypoint is not to be had."""

    RELEASED = 75
    """The process got a signal to stop and released the run, to be continued elsewhere."""

    SUPERSEDED = 76
    """Another attempt owns the run; nothing that this one writes is accepted."""

    SECOND_START = 77
    """This attempt has begun before, in another process; this one did nothing."""

    CANCELLED = 78
    """The run was cancelled, and that is recorded."""

    CRASHED = 79
    """The process with the user's code died without an outcome; its death was reported."""
