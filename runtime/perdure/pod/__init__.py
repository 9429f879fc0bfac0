"""The process of a pod: `perdure exec` runs one attempt of one run, as a supervisor and its child."""

from __future__ import annotations

from ..process.exit_codes import ExitCode
from .channel import ChildChannel, Progress, Request
from .environment import PodEnvironment
from .reporting import Death, Reporter, Verdict
from .signals import hold_signals
from .supervisor import SupervisorSettings, supervise

__all__ = [
    "ChildChannel",
    "Death",
    "ExitCode",
    "PodEnvironment",
    "Progress",
    "Reporter",
    "Request",
    "SupervisorSettings",
    "Verdict",
    "hold_signals",
    "supervise",
]
