"""A workflow that tells when its first step began: as small as a module of somebody's workflow can be."""

from __future__ import annotations

import time

from perdure import step, workflow


@step
def moment() -> float:
    return time.monotonic()


@workflow
def first_step() -> float:
    return moment()
