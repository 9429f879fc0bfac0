"""Which file a workflow's code is in: it distinguishes the workflows of two projects that have one name."""

from __future__ import annotations

import os
from pathlib import Path

from .definitions import WorkflowDefinition
from .module_names import loaded_module

__all__ = ["origin_of"]


def origin_of(definition: WorkflowDefinition) -> str | None:
    """The file of a project's workflow; None for one of an installed package, which is the same for all projects."""
    module = loaded_module(definition.entrypoint.partition(":")[0])
    file: str | None = getattr(module, "__file__", None)
    if file is None or not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts):
        return None
    return os.path.realpath(file)
