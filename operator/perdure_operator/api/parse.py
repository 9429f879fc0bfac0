"""Parses a Workflow of the API server into `observed.Workflow`.

Total: raises no error. An object that violates the schema, since it was stored before the schema changed or in spite of
it, gets a `problem` that describes the violation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from types import MappingProxyType
from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from pydantic import ValidationError

from ..decide.observed import Key, Spec, Workflow
from ..truncate import cut
from .models import MAX_BYTES, WorkflowSpec
from .names import RESTART_ANNOTATION
from .status_document import read_status, read_time
from .untyped import mapping
from .validation import refusals, too_large

__all__ = ["brief", "parse_workflow"]

MAX_RESTART = 256
"""Most characters of the annotation `perdure.io/restart` that the status repeats. It has the digest of a longer one."""

_LONGEST_PROBLEM = 1024
"""Most bytes of a problem, which can repeat names of any length."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})

_NEW = "create a new Workflow"


def parse_workflow(body: Mapping[str, Any]) -> Workflow:
    """Parse a Workflow. `spec` is None if it could not be parsed at all; `problem` is the reason why it is invalid."""
    metadata = mapping(body.get("metadata"))
    annotations = mapping(metadata.get("annotations"))
    restart = annotations.get(RESTART_ANNOTATION)
    generation = metadata.get("generation")
    spec, problem = _spec(body.get("spec"))
    return Workflow(
        key=Key(str(metadata.get("namespace", "")), str(metadata.get("name", ""))),
        uid=_uid(metadata.get("uid")),
        generation=generation if isinstance(generation, int) else 0,
        created=read_time(metadata.get("creationTimestamp")) or datetime.fromtimestamp(0, UTC),
        spec=spec,
        problem=problem,
        status=read_status(body.get("status")),
        deleting=metadata.get("deletionTimestamp") is not None,
        restart=None if restart is None else _bounded(str(restart)),
        resource_version=str(metadata.get("resourceVersion", "")),
    )


def _bounded(restart: str) -> str:
    """The value of the annotation for the status. An annotation may have 256 KiB, so a long one becomes a digest."""
    if len(restart) <= MAX_RESTART:
        return restart
    return f"sha256:{sha256(restart.encode(errors='surrogatepass')).hexdigest()}"


def brief(workflow: Workflow) -> Workflow:
    """A Workflow without its long fields."""
    if workflow.spec is None or workflow.spec.brief:
        return workflow
    spec = replace(workflow.spec, input="null", source_inline=None, pod_template=_EMPTY, brief=True)
    return replace(workflow, spec=spec)


def _spec(raw: Any) -> tuple[Spec | None, str | None]:
    if isinstance(raw, str):  # stands in the place of a spec that could not be parsed
        return None, f"spec: {raw}: {_NEW}"
    if not isinstance(raw, Mapping):
        return None, f"the Workflow has no spec that is an object: {_NEW}"
    try:
        large = too_large(raw.get("podTemplate"))
        given = {name: value for name, value in raw.items() if large is None or name != "podTemplate"}
        model = WorkflowSpec.model_validate(given)
        arguments = json.dumps(model.input, ensure_ascii=False, separators=(",", ":"))
        template = dict(given.get("podTemplate") or {})
    except ValidationError as error:
        return None, _words(error)
    except (TypeError, ValueError, RecursionError) as error:
        return None, f"spec cannot be read ({error}): {_NEW}"
    source = model.source
    spec = Spec(
        entrypoint=model.entrypoint,
        input=arguments,
        image=model.image,
        source_inline=source.inline if source else None,
        source_config_map=source.config_map.name if source and source.config_map else None,
        backoff_limit=model.backoff_limit,
        active_deadline_seconds=model.active_deadline_seconds,
        ttl_seconds_after_finished=model.ttl_seconds_after_finished,
        suspend=model.suspend,
        cancel=model.cancel,
        pod_template=template,
        grace_seconds=_grace(template.get("spec")),
    )
    refused = refusals(template) if large is None else [large]
    problems = [*_too_much(spec), *_source(spec), *(f"spec.{refusal}" for refusal in refused)]
    return spec, cut("; ".join(problems), _LONGEST_PROBLEM) or None


def _grace(pod: Any) -> float | None:
    grace = pod.get("terminationGracePeriodSeconds") if isinstance(pod, Mapping) else None
    return float(grace) if isinstance(grace, int) and not isinstance(grace, bool) and 0 <= grace < 1e9 else None


def _too_much(spec: Spec) -> list[str]:
    files = spec.source_inline or {}
    texts = [spec.input, *files, *files.values()]
    size = sum(len(text.encode(errors="surrogatepass")) for text in texts)
    if size <= MAX_BYTES:
        return []
    what = f"spec: input and source.inline have {size} bytes together, and {MAX_BYTES} are the most"
    return [f"{what}: {_NEW} that passes a reference to large data, and has its code in an image or a ConfigMap"]


def _source(spec: Spec) -> list[str]:
    if spec.source_inline is not None and spec.source_config_map is not None:
        return [f"spec.source: source has inline or configMap: {_NEW} with one of the two"]
    return []


def _words(error: ValidationError) -> str:
    """The violations, field by field, without the values: they may be long, and may be secret."""
    said = "; ".join(
        ".".join(["spec", *(str(part) for part in one["loc"])]) + f": {one['msg']}"
        for one in error.errors(include_url=False, include_context=False, include_input=False)[:5]
    )
    return cut(said, _LONGEST_PROBLEM)


def _uid(value: Any) -> UUID:
    try:
        return UUID(str(value))
    except ValueError:
        # An API server's UIDs are UUIDs. Another kind of UID is mapped to a UUID, always to the same one.
        return uuid5(NAMESPACE_OID, str(value))
