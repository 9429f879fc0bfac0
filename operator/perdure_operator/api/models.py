"""The kind `Workflow` as pydantic models: its schema is generated from them, and specs are parsed by them.

Every field is described for `kubectl explain`. Defaults are the API server's, and so are most refusals.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from .names import CONTAINER, KIND, LABEL_MANAGED_BY, OURS
from .schema import ATOMIC, BY_NAME, OPAQUE, Closed, Open, immutable, only, rule, rules
from .status_models import WorkflowStatus
from .validation import (
    ANNOTATIONS,
    COMMAND,
    CONTAINER_RESTART,
    ENV,
    ENV_PREFIX,
    HOST_PID,
    IMAGE,
    INIT_NAME,
    LABELS,
    MAX_TEMPLATE_BYTES,
    METADATA,
    POD_DEADLINE,
    RESERVED_ENV,
    RESTART_POLICY,
    SHARE_PROCESSES,
    TEMPLATE_FIELDS,
)

__all__ = ["ENTRYPOINT", "FILE_NAME", "MAX_BYTES", "PodTemplate", "WorkflowObject", "WorkflowSpec"]

MAX_BYTES: Final = 128 * 1024
"""Input and inline source together: UTF-8, the input as compact JSON."""

ENTRYPOINT: Final = r"^[A-Za-z_][A-Za-z0-9_]*([.][A-Za-z_][A-Za-z0-9_]*)*:[A-Za-z_][A-Za-z0-9_]*$"
SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
FILE_NAME: Final = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$"

_INT32: Final = 2**31 - 1
_NEW = "a run goes on with what it started with: create a new Workflow instead"

Seconds = Annotated[int, Field(le=_INT32)]
Text = Annotated[str, Field(max_length=MAX_TEMPLATE_BYTES)]
"""Of a podTemplate, which as a whole may be no longer; that, no rule can see (see ADR 0009)."""


class ConfigMapSource(Closed):
    """A ConfigMap in the Workflow's namespace whose keys are files for the import path, such as `bank.py`."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=SUBDOMAIN,
        description="Name of the ConfigMap.",
        json_schema_extra=rules(
            rule(
                f"self.matches('{SUBDOMAIN}')",
                "a ConfigMap's name consists of lower case letters, digits, '-' and '.', such as bank-code",
            )
        ),
    )


class Source(Closed):
    """Code that is not in the image: either `inline` or `configMap`."""

    inline: dict[str, Annotated[str, Field(max_length=MAX_BYTES)]] | None = Field(
        default=None,
        min_length=1,
        max_length=100,
        description="Files for the import path: their names, such as `bank.py` or `shop/orders.py`, and their text.",
        json_schema_extra=rules(
            rule(
                f"self.all(name, size(name) <= 253 && name.matches('{FILE_NAME}'))",
                "a file's name is a relative path of letters, digits, '_', '-' and '.', such as shop/orders.py",
            ),
            rule(
                f"self.map(name, size(self[name])).sum() <= {MAX_BYTES}",
                "the files have more than 128 KiB together: use source.configMap, or put the code into an image",
            ),
            **ATOMIC,
        ),
    )
    config_map: ConfigMapSource | None = Field(
        default=None,
        description="A ConfigMap with the files. It is copied into the store when the run starts, and not read again.",
    )


class TemplateEnv(Open):
    """A variable, as a pod has it."""

    name: str = Field(min_length=1, max_length=1024, description="Name of the variable.")


class TemplateEnvFrom(Open):
    """Variables from a ConfigMap or a Secret, as a pod has them."""

    prefix: str | None = Field(default=None, max_length=1024, description="What the variables' names begin with.")


class TemplateContainer(Open):
    """A container, as a pod has it."""

    name: str = Field(
        min_length=1,
        max_length=63,
        description=f"Name of the container; `{CONTAINER}` runs the workflow.",
    )
    image: Text | None = Field(default=None, description=f"Image; that of `{CONTAINER}` is the Workflow's `image`.")
    command: list[Text] | None = Field(default=None, description=f"Entrypoint; not for `{CONTAINER}`.")
    args: list[Text] | None = Field(default=None, description=f"Arguments; not for `{CONTAINER}`.")
    env: list[TemplateEnv] | None = Field(
        default=None,
        max_length=500,
        description=f"Variables, laid over ours by name. For `{CONTAINER}`, those that begin with PERDURE are ours.",
        json_schema_extra=BY_NAME,
    )
    env_from: list[TemplateEnvFrom] | None = Field(
        default=None, max_length=100, description="Variables from ConfigMaps and Secrets; ours go before them."
    )
    restart_policy: str | None = Field(
        default=None, max_length=32, description=f"`Always` makes an init container a sidecar; not for `{CONTAINER}`."
    )
    restart_policy_rules: Any = Field(
        default=None, description=f"When to restart; not for `{CONTAINER}`.", json_schema_extra=OPAQUE
    )


class TemplateVolume(Open):
    """A volume, as a pod has it."""

    name: str = Field(min_length=1, max_length=63, description="Name of the volume.")


_IS_OURS = f"c.name == '{CONTAINER}'"


class TemplateSpec(Open):
    """The spec of a pod, laid over ours; every field of a pod can be given, except for those that are refused."""

    restart_policy: str | None = Field(
        default=None,
        description="Always `Never`.",
        json_schema_extra=rules(rule("self == 'Never'", RESTART_POLICY)),
    )
    share_process_namespace: bool | None = Field(
        default=None, description="Always off.", json_schema_extra=rules(rule("!self", SHARE_PROCESSES))
    )
    host_pid: bool | None = Field(
        default=None, alias="hostPID", description="Always off.", json_schema_extra=rules(rule("!self", HOST_PID))
    )
    active_deadline_seconds: int | None = Field(
        default=None,
        description="Refused; the Workflow has a deadline of its own.",
        json_schema_extra=rules(rule("false", POD_DEADLINE)),
    )
    termination_grace_period_seconds: int | None = Field(
        default=None,
        ge=1,
        le=_INT32,
        description="Time from SIGTERM to SIGKILL; the step in flight may use it, but for the last three seconds.",
        json_schema_extra={"format": "int64"},
    )
    containers: list[TemplateContainer] | None = Field(
        default=None,
        max_length=32,
        description=f"Laid over ours by name: `{CONTAINER}` runs the workflow; others run beside it, and the run's"
        " end does not wait for them.",
        json_schema_extra=rules(
            rule(f"self.all(c, !({_IS_OURS}) || !has(c.image))", IMAGE),
            rule(f"self.all(c, !({_IS_OURS}) || (!has(c.command) && !has(c.args)))", COMMAND),
            rule(
                f"self.all(c, !({_IS_OURS}) || (!has(c.restartPolicy) && !has(dyn(c).restartPolicyRules)))",
                CONTAINER_RESTART,
            ),
            rule(
                f"self.all(c, !({_IS_OURS}) || !has(c.env) || c.env.all(e, !e.name.startsWith('{RESERVED_ENV}')))", ENV
            ),
            rule(
                f"self.all(c, !({_IS_OURS}) || !has(c.envFrom) ||"
                f" c.envFrom.all(e, !has(e.prefix) || !e.prefix.startsWith('{RESERVED_ENV}')))",
                ENV_PREFIX,
            ),
            **BY_NAME,
        ),
    )
    init_containers: list[TemplateContainer] | None = Field(
        default=None,
        max_length=32,
        description="Run before the workflow in each attempt, in order.",
        json_schema_extra=rules(rule(f"self.all(c, !({_IS_OURS}))", INIT_NAME), **BY_NAME),
    )
    volumes: list[TemplateVolume] | None = Field(
        default=None, max_length=200, description="Laid over ours by name.", json_schema_extra=BY_NAME
    )


class TemplateMetadata(Open):
    """Labels and annotations of the pods."""

    model_config = Open.model_config | {
        "json_schema_extra": rules(rule(only("labels", "annotations"), METADATA), **OPAQUE)
    }

    labels: dict[str, Annotated[str, Field(max_length=63)]] | None = Field(
        default=None,
        max_length=100,
        description="Labels beside ours.",
        json_schema_extra=rules(
            rule(f"self.all(name, !name.startsWith('{OURS}') && name != '{LABEL_MANAGED_BY}')", LABELS)
        ),
    )
    annotations: dict[str, Text] | None = Field(
        default=None,
        max_length=100,
        description="Annotations beside ours.",
        json_schema_extra=rules(rule(f"self.all(name, !name.startsWith('{OURS}'))", ANNOTATIONS)),
    )
    # Programs that write templates write this as null, which the API server leaves away only where it knows the field.
    creation_timestamp: str | None = Field(default=None, description="Not given in a template.")


class PodTemplate(Open):
    """The template that is laid over the pods of this run: maps by key, lists of named things by name."""

    model_config = Open.model_config | {
        "json_schema_extra": rules(rule(only("metadata", "spec"), TEMPLATE_FIELDS), **OPAQUE)
    }

    metadata: TemplateMetadata | None = Field(default=None, description="Labels and annotations of the pods.")
    spec: TemplateSpec | None = Field(default=None, description="Laid over the spec of the pods.")


class WorkflowSpec(Closed):
    """The spec. Fields with which a run starts are immutable; fields that control it can be changed at any time."""

    model_config = Closed.model_config | {
        "json_schema_extra": rules(
            immutable("entrypoint", f"entrypoint cannot be changed; {_NEW}"),
            immutable("image", f"image cannot be changed, added or removed; {_NEW}"),
            immutable("source", f"source cannot be changed, added or removed; {_NEW}"),
            immutable("input", f"input cannot be changed, added or removed; {_NEW}", opaque=True),
            rule(
                "!oldSelf.cancel || self.cancel",
                "cancel cannot be taken back; to run it again, create a new Workflow",
                "cancel",
            ),
        )
    }

    entrypoint: str = Field(
        max_length=512,
        pattern=ENTRYPOINT,
        description="The workflow to run as `module:function`, such as `bank:transfer`. Immutable.",
        json_schema_extra=rules(
            rule(f"self.matches('{ENTRYPOINT}')", "entrypoint is module:function, such as bank:transfer")
        ),
    )
    image: str | None = Field(
        default=None,
        min_length=1,
        max_length=1024,
        pattern=r"^\S+$",
        description="Image with the workflow's code and `perdure`; by default the operator's runtime image. Immutable.",
        json_schema_extra=rules(rule(r"self.matches('^[^ \t\n]+$')", "an image's name has no blanks")),
    )
    source: Source | None = Field(
        default=None,
        description="Code that is not in the image. It is stored with the run, so that an attempt has the code that the"
        " first one had. Immutable.",
        json_schema_extra=rules(
            rule("has(self.inline) != has(self.configMap)", "source has inline or configMap: give one of the two")
        ),
    )
    input: dict[str, Any] = Field(
        default_factory=dict,
        description="The arguments of the workflow's function, by name. At most 128 KiB together with inline source."
        " Immutable.",
        json_schema_extra={**ATOMIC, "default": {}},
    )
    backoff_limit: int = Field(
        default=6,
        ge=0,
        le=_INT32,
        description="How many attempts may crash one after the other without finishing a step. Disruptions, such as"
        " evictions and lost nodes, do not count.",
        json_schema_extra={"format": "int32"},
    )
    active_deadline_seconds: Seconds | None = Field(
        default=None,
        ge=1,
        description="The run fails when it has not ended so many seconds after the operator took it on"
        " (status.startTime), whether an attempt has begun or not. As of a Job, the time in which it is suspended does"
        " not count, and resuming begins anew. By default it may take for ever.",
        json_schema_extra={"format": "int32"},
    )
    ttl_seconds_after_finished: Seconds | None = Field(
        default=None,
        ge=0,
        description="The Workflow is deleted so many seconds after it has finished. By default it is kept.",
        json_schema_extra={"format": "int32"},
    )
    suspend: bool = Field(
        default=False,
        description="Finish the step in flight, end the pod and wait until this is false again, to go on from there.",
    )
    cancel: bool = Field(
        default=False,
        description="Cancel the run; a workflow that declares cleanup has time for it. This cannot be taken back.",
    )
    pod_template: PodTemplate | None = Field(
        default=None,
        description="Laid over the pods of this run, from the next attempt on: maps by key; containers, init"
        " containers, variables and volumes by name; mounts by path; tolerations are added."
        " At most 64 KiB as compact JSON.",
    )


class WorkflowObject(Closed):
    """A run of a durable Python workflow: its pod may die at any time, and it goes on from the last finished step."""

    model_config = Closed.model_config | {"title": KIND}

    spec: WorkflowSpec = Field(description="What to run, and how.")
    status: WorkflowStatus | None = Field(
        default=None,
        description="How the run stands; written by the operator.",
        # Without this default, kstatus counts a Workflow as done that no operator has reconciled yet.
        json_schema_extra={"default": {"observedGeneration": -1}},
    )
