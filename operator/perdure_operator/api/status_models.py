"""The status of the kind `Workflow` as pydantic models, of which its schema is made.

The operator writes and reads statuses as plain documents (`status_document`): these say what the API server lets pass.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from .schema import OPAQUE, Closed

__all__ = ["PHASES", "WorkflowStatus"]

PHASES: Final = (
    "Pending",
    "Starting",
    "Running",
    "BackingOff",
    "Waiting",
    "Suspended",
    "Stalled",
    "Cancelling",
    "Succeeded",
    "Failed",
    "Cancelled",
)


class StatusCondition(Closed):
    """One condition."""

    type: str = Field(max_length=316, description="Finished, Succeeded, Reconciling, Stalled or ImageChanged.")
    status: Literal["True", "False", "Unknown"] = Field(description="True, False or Unknown.")
    reason: str = Field(max_length=1024, description="Why, in one word for programs.")
    message: str = Field(max_length=32768, description="Why, in words for people.")
    last_transition_time: str = Field(description="When it got this status.", json_schema_extra={"format": "date-time"})
    observed_generation: int | None = Field(
        default=None, ge=0, description="The generation that it speaks of.", json_schema_extra={"format": "int64"}
    )


class StatusSteps(Closed):
    """How far the run is."""

    completed: int = Field(ge=0, description="Steps whose outcome is stored.", json_schema_extra={"format": "int64"})
    current: str | None = Field(default=None, max_length=2048, description="The step that is running.")


class StatusError(Closed):
    """Why the run failed."""

    type: str = Field(max_length=1024, description="Type of the error.")
    message: str | None = Field(default=None, max_length=1024, description="Its message, up to 1 KiB.")


class WorkflowStatus(Closed):
    """How the run stands. Written by the operator; the store knows more."""

    observed_generation: int | None = Field(
        default=None,
        ge=-1,
        description="The generation of the spec that it knows; -1 until the operator has seen the Workflow.",
        json_schema_extra={"format": "int64"},
    )
    store_id: str | None = Field(
        default=None, max_length=64, description="The store that has the run; the run is started in no other."
    )
    phase: Literal[PHASES] | None = Field(  # type: ignore[valid-type]
        default=None, description="How the run stands, in one word for people; programs read the conditions."
    )
    conditions: list[StatusCondition] | None = Field(
        default=None,
        max_length=16,
        description="Finished, Succeeded, Reconciling and Stalled; ImageChanged is a warning.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
    start_time: str | None = Field(
        default=None, description="When the operator took the Workflow on.", json_schema_extra={"format": "date-time"}
    )
    completion_time: str | None = Field(
        default=None, description="When the run ended.", json_schema_extra={"format": "date-time"}
    )
    attempts: int | None = Field(
        default=None, ge=0, description="Attempts so far.", json_schema_extra={"format": "int32"}
    )
    steps: StatusSteps | None = Field(default=None, description="How far the run is.")
    result: Any = Field(
        default=None,
        description="What the workflow returned, up to 4 KiB of JSON; else where to read it.",
        json_schema_extra={**OPAQUE, "nullable": True},
    )
    error: StatusError | None = Field(default=None, description="Why the run failed; its traceback is in the store.")
    pod_name: str | None = Field(default=None, max_length=253, description="The pod of the newest attempt.")
    restart: str | None = Field(
        default=None,
        max_length=256,
        description="The annotation perdure.io/restart as it was last heeded: each value counts once.",
    )
    cancel_time: str | None = Field(
        default=None,
        description="When the run was first seen to be cancelled.",
        json_schema_extra={"format": "date-time"},
    )
