"""What `perdure run FILE.yaml` does: read the manifest, run its Workflow here, see it to its end."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from perdure.errors import RunConflict, UsageError
from perdure.local.display import Display
from perdure.local.interactive import show_ending, shown
from perdure.local.store_target import StoreTarget, open_target
from perdure.pod.source import files_of_source, problem_with_files
from perdure.process.attempt_process import StopRequests
from perdure.process.exit_codes import ExitCode
from perdure.store.runs.manifests import ManifestRunStore, StoredManifest
from perdure.store.runs.model import RunDetail

from ..api.names import API_VERSION, KIND
from ..api.status_document import status_document
from ..decide.limits import grace_of
from ..decide.observed import Spec, Status, Workflow
from .admission import admit, immutable_words
from .executor import AnotherRun
from .manifest import Manifest, read_manifest
from .run import Code, LocalWorkflow
from .template import LocalTemplate, local_template

__all__ = ["LocalOutcome", "run"]


@dataclass(frozen=True, slots=True)
class LocalOutcome:
    """How the work on a Workflow ended: its run has ended, or it waits for a person, or it cannot run here.

    Attributes:
        run: its run, if that has ended.
        workflow: the Workflow with its status, as the cluster's API has it.
        message: its situation in words.
        code: for the command's exit, if there is no `run`.
    """

    run: RunDetail | None
    workflow: Mapping[str, Any]
    message: str
    code: ExitCode


def run(file: Path, database_url: str | None, stops: StopRequests) -> LocalOutcome:
    """Run the Workflow of a file.

    Args:
        file: with one Workflow.
        database_url: of the store; by default the environment's, or the embedded one.
        stops: requests to stop.

    Raises:
        Interrupted: a request to stop has come; the run can go on later.
        UsageError: the file has no Workflow that can run.
        RunConflict: the run of this name was started from another Workflow.
        StoreError: the store cannot be used, or was away for too long.
    """
    manifest = read_manifest(file)
    workflow = admit(manifest.workflow, manifest.namespace)
    assert workflow.spec is not None, "what is admitted has a spec"
    template = local_template(workflow.spec, manifest, os.environ)
    code = _code(workflow.spec, manifest)
    with open_target(database_url) as place:
        while True:
            found = _find(place, workflow)
            if found is not None:
                _check_same(workflow, found)
            elif code.problem is not None:
                raise UsageError(f"the Workflow {workflow.key.name}: {code.problem}")
            bound = _bound(workflow, found)
            try:
                with shown(f"{workflow.spec.entrypoint}  {_title(workflow)}") as display:
                    _tell(display, manifest, template, workflow.spec)
                    grace = int(grace_of(workflow.spec))
                    local = LocalWorkflow(bound, code, template.variables, grace, place, display, stops)
                    detail = local.settle()
            except AnotherRun:
                continue
            break
        show_ending(display, detail)
    return _outcome(local.workflow, detail)


def _code(spec: Spec, manifest: Manifest) -> Code:
    if spec.source_config_map is None:
        return Code(files=spec.source_inline)
    name = spec.source_config_map
    if (files := manifest.config_maps.get(name)) is None:
        return Code(problem=f"its code is in the ConfigMap {name}, which is not in this file: put it there")
    if problem := problem_with_files(files):
        return Code(problem=f"its code cannot be taken from the ConfigMap {name}: {problem}")
    return Code(files=files)


def _find(place: StoreTarget, workflow: Workflow) -> StoredManifest | None:
    with ManifestRunStore(place.url) as store:
        return store.find_manifest(workflow.key.namespace, workflow.key.name)


def _check_same(workflow: Workflow, stored: StoredManifest) -> None:
    """Check that no immutable field was changed since the run was inserted."""
    spec = workflow.spec
    assert spec is not None
    files = None if stored.source is None else files_of_source(stored.source)
    same = {
        "entrypoint": spec.entrypoint == stored.entrypoint,
        "source": (spec.source_inline == files) if spec.source_config_map is None else files is not None,
        "input": _canonical(spec.input) == _canonical(stored.input),
    }
    if changed := [immutable_words(field) for field, is_same in same.items() if not is_same]:
        reference = shlex.quote(_title(workflow))
        raise RunConflict(
            f"the Workflow {workflow.key.name} has a run already: {'; '.join(changed)}, under another metadata.name;"
            f" or remove that run: perdure delete {reference}"
        )


def _canonical(text: str) -> str:
    return json.dumps(json.loads(text), sort_keys=True)


def _bound(workflow: Workflow, stored: StoredManifest | None) -> Workflow:
    """The Workflow with the UID of its run, and without fields that apply only in a cluster."""
    assert workflow.spec is not None
    uid: UUID = uuid4() if stored is None else stored.run_id
    spec = replace(workflow.spec, ttl_seconds_after_finished=None)
    if stored is None:
        return replace(workflow, uid=uid, spec=spec)
    return replace(workflow, uid=uid, spec=spec, created=stored.created, status=Status(start_time=stored.created))


def _title(workflow: Workflow) -> str:
    namespace, name = workflow.key.namespace, workflow.key.name
    return name if namespace == "default" else f"{namespace}/{name}"


def _tell(display: Display, manifest: Manifest, template: LocalTemplate, spec: Spec) -> None:
    """Print once which parts of the file have no effect here."""
    used = template.used | {f"ConfigMap {spec.source_config_map}"}
    if skipped := [other for other in manifest.others if other not in used]:
        display.note(f"not used, of the same file: {', '.join(skipped)}")
    if template.ignored:
        display.note(f"ignored without a cluster: {', '.join(template.ignored)}")
    if spec.image is not None and spec.source_inline is None and spec.source_config_map is None:
        display.note("the code is that of the current folder and of this Python, not of the image")


def _outcome(workflow: Workflow, detail: RunDetail | None) -> LocalOutcome:
    status = workflow.status
    finished = status.conditions["Finished"]
    if finished.status == "True":
        code = ExitCode.CANCELLED
    else:
        code = ExitCode.NOT_STARTED if "Stalled" in status.conditions else ExitCode.RELEASED
    ended = detail if detail is not None and detail.run.state.ended else None
    return LocalOutcome(ended, _document(workflow), finished.message, code)


def _document(workflow: Workflow) -> Mapping[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": workflow.key.name, "namespace": workflow.key.namespace, "uid": str(workflow.uid)},
        "status": status_document(workflow.status),
    }
