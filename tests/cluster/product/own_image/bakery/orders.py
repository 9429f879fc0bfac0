"""A workflow whose process is killed once, in the middle of its second step."""

from __future__ import annotations

import os
import signal
import sys

from perdure import step, step_context, workflow

from .recipes import flour


@step
def weigh(loaves: int) -> int:
    """Grams of flour."""
    return flour(loaves)


@step
def bake(loaves: int) -> list[str]:
    """The loaves, at the second attempt."""
    if step_context().attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return ["bread"] * loaves


@workflow
def order(loaves: int) -> dict[str, object]:
    """What was baked, from how much, and by whom."""
    weighed = weigh(loaves)
    return {
        "flour": weighed,
        "loaves": bake(loaves),
        "file": __file__,
        "python": sys.prefix,
        "user": os.getuid(),
    }
