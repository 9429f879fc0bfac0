"""On the import path of a process that a test kills: stops it for good at a place, and says so by making a file.

`STOP_AT=after:<step key>` is the moment when that checkpoint is stored, `in:<step key>` when the body has run and
nothing of it is stored. The example itself knows nothing of it.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

if "STOP_AT" in os.environ:
    from perdure import step_context
    from perdure.definitions import StepDefinition
    from perdure.engine.branches.attempt import Attempt

    def stop_at(place):
        if os.environ["STOP_AT"] == place:
            Path(os.environ["STOPPED"]).touch()
            while True:
                time.sleep(60)

    original_finished, original_init = Attempt.finished, StepDefinition.__init__

    def finished(self, key, *args):
        original_finished(self, key, *args)
        stop_at(f"after:{key}")

    def init(self, function, name, **options):
        original_init(self, function, name, **options)
        if self.is_async:

            @functools.wraps(function)
            async def body(*args, **kwargs):
                value = await function(*args, **kwargs)
                stop_at(f"in:{step_context().step_key}")
                return value
        else:

            @functools.wraps(function)
            def body(*args, **kwargs):
                try:
                    return function(*args, **kwargs)
                finally:
                    stop_at(f"in:{step_context().step_key}")

        self.function = body

    Attempt.finished = finished  # type: ignore[method-assign]
    StepDefinition.__init__ = init  # type: ignore[method-assign]
