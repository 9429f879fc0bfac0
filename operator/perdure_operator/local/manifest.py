"""Reads the Workflow in a file, with the ConfigMaps and Secrets beside it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perdure.errors import UsageError

from ..api.names import API_VERSION, GROUP, KIND
from .documents import read_documents

__all__ = ["Manifest", "read_manifest"]

_DEFAULT_NAMESPACE = "default"


@dataclass(frozen=True, slots=True)
class Manifest:
    """A Workflow as it is written, with the ConfigMaps and Secrets of its namespace, and the file's other documents.

    Attributes:
        others: the other documents of the file, `Kind name`.
    """

    workflow: Mapping[str, Any]
    namespace: str
    config_maps: Mapping[str, Mapping[str, str]]
    secrets: Mapping[str, Mapping[str, str]]
    others: tuple[str, ...]


def read_manifest(file: Path) -> Manifest:
    """Read a file.

    Raises:
        UsageError: it cannot be parsed, or does not have exactly one Workflow.
    """
    documents = list(_documents(file))
    workflows = [one for one in documents if one.get("kind") == KIND and _group(one) in (GROUP, "")]
    others = [one for one in documents if all(one is not workflow for workflow in workflows)]
    if not workflows:
        found = ", ".join(_title(one) for one in others) or "nothing"
        raise UsageError(f"{file} has no {KIND} of {API_VERSION}, but {found}")
    if len(workflows) > 1:
        names = ", ".join(_name(one) for one in workflows)
        raise UsageError(
            f"{file} has {len(workflows)} Workflows ({names}): a command runs one, so put each into a file"
        )
    workflow = workflows[0]
    if (version := workflow.get("apiVersion")) != API_VERSION:
        said = "has no apiVersion" if version is None else f"is of apiVersion {version!r}"
        raise UsageError(f"{file}: the Workflow {_name(workflow)} {said}: write apiVersion: {API_VERSION}")
    namespace = _namespace(workflow)
    near = [one for one in others if one.get("apiVersion") == "v1" and _namespace(one) == namespace]
    return Manifest(
        workflow=workflow,
        namespace=namespace,
        config_maps={_name(one): _texts(file, one) for one in near if one.get("kind") == "ConfigMap"},
        secrets={_name(one): _secret(file, one) for one in near if one.get("kind") == "Secret"},
        others=tuple(_title(one) for one in others),
    )


def _documents(file: Path) -> Iterator[Mapping[str, Any]]:
    for number, document in enumerate(read_documents(file), 1):
        if not isinstance(document, dict):
            what = "a list" if isinstance(document, list) else f"the value {str(document)[:40]!r}"
            raise UsageError(f"{file}: document {number} is {what}, not an object with apiVersion and kind")
        items = document.get("items") if document.get("kind") == "List" else None
        listed = [document] if items is None else items if isinstance(items, list) else [items]
        for one in listed:
            if not isinstance(one, dict) or not isinstance(one.get("kind"), str):
                raise UsageError(f"{file}: document {number} has no kind")
            yield one


def _group(document: Mapping[str, Any]) -> str:
    return str(document.get("apiVersion") or "").rpartition("/")[0]


def _metadata(document: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = document.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _name(document: Mapping[str, Any]) -> str:
    return str(_metadata(document).get("name") or "without a name")


def _namespace(document: Mapping[str, Any]) -> str:
    return str(_metadata(document).get("namespace") or _DEFAULT_NAMESPACE)


def _title(document: Mapping[str, Any]) -> str:
    return f"{document['kind']} {_name(document)}"


def _texts(file: Path, document: Mapping[str, Any], field: str = "data") -> dict[str, str]:
    texts = document.get(field) or {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for text in texts.values()):
        raise UsageError(f"{file}: {field} of {_title(document)} must be an object of texts")
    return texts


def _secret(file: Path, document: Mapping[str, Any]) -> dict[str, str]:
    try:
        data = _texts(file, document)
        decoded = {key: base64.b64decode(text, validate=True).decode() for key, text in data.items()}
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"{file}: data of {_title(document)} must be texts in base64; or use stringData") from error
    return decoded | _texts(file, document, "stringData")
