"""`perdure exec`: one attempt of one run, named by the environment. Imports nothing that it can do without."""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace
from functools import partial

from ...errors import UsageError
from ...pod.environment import PodEnvironment
from ...pod.signals import hold_signals
from ...process.exit_codes import ExitCode

__all__ = ["execute_attempt"]


def execute_attempt() -> int:
    """Run the attempt; returns the exit code, with which the process is to leave at once."""
    hold_signals()
    # Imported objects stay: a search for garbage among them takes time, and writes to them take memory on both sides of
    # the fork (https://docs.python.org/3/library/gc.html#gc.freeze).
    gc.disable()
    try:
        environment = PodEnvironment.parse(os.environ)
        if environment.parent is not None:
            from ...process.tree import die_with_parent

            die_with_parent(environment.parent)
        # All is imported before the fork, so that both sides share it.
        from ...store.postgres.connection import with_defaults

        url = with_defaults(environment.database_url, environment.database_tls)
    except UsageError as error:
        sys.stderr.write(f"perdure exec: {error}\n")
        return ExitCode.USAGE
    environment = replace(environment, database_url=url)
    from ...pod.hiding import forbid_looking_in, forget_variables

    if environment.parent is None:
        # In a pod.
        forget_variables("PERDURE_CLAIM", "PERDURE_DATABASE_URL")
        forbid_looking_in()
    else:
        # A command's own process, on the machine of a person whose database that is, and who may want a debugger.
        forget_variables("PERDURE_CLAIM")
    from ...pod.attempt import run_attempt
    from ...pod.reporter import StoreReporter
    from ...pod.supervisor import SupervisorSettings, supervise

    gc.freeze()
    gc.enable()
    return supervise(
        lambda channel: run_attempt(channel, environment),
        partial(StoreReporter, environment.database_url, environment.run_id),
        SupervisorSettings(lease=environment.lease_seconds, grace=environment.grace_seconds),
    )
