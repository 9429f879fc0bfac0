"""A workflow for attempts in processes of their own. `log` in the current folder says what ran."""

from __future__ import annotations

import os
import time
from datetime import datetime

from perdure import now, step, step_context, workflow


@step
def tick(number: int) -> int:
    file = os.open("log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{step_context().step_key}\n".encode())
    os.close(file)
    time.sleep(0.02)
    return number


@workflow
def ticking(count: int) -> list[datetime]:
    moments = []
    for number in range(count):
        tick(number)
        if number % 10 == 0:
            moments.append(now())
    return moments
