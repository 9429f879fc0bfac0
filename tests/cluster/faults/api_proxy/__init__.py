"""A proxy in front of the API server that any client can be pointed at, and the faults it injects."""

from __future__ import annotations

from .faults import (
    Answer,
    Cut,
    DelayEvents,
    DropEvents,
    DuplicateEvents,
    EndWatch,
    ErrorEvent,
    Fault,
    Latency,
    LoseAnswer,
    Reset,
    Stall,
)
from .proxy import ApiProxy
from .requests import ApiRequest, Exchange, Requests
from .rules import Rule

__all__ = [
    "Answer",
    "ApiProxy",
    "ApiRequest",
    "Cut",
    "DelayEvents",
    "DropEvents",
    "DuplicateEvents",
    "EndWatch",
    "ErrorEvent",
    "Exchange",
    "Fault",
    "Latency",
    "LoseAnswer",
    "Requests",
    "Reset",
    "Rule",
    "Stall",
]
