"""Classes by name: `module:qualname`, as exceptions and enums are recorded."""

from __future__ import annotations

import importlib
import sys

__all__ = ["find_type", "type_name"]


def type_name(kind: type) -> str:
    """The name under which `find_type` may find a class again."""
    # Through `type`, past metaclasses and class attributes that hide the names.
    module = type.__getattribute__(kind, "__module__")
    return f"{module}:{type.__getattribute__(kind, '__qualname__')}"


def find_type(name: str) -> type | None:
    """The class of that name, its module imported if need be; None where it is not, or goes by another name."""
    module_name, _, qualname = name.partition(":")
    if not qualname or "<" in qualname:
        return None
    found: object = sys.modules.get(module_name)
    try:
        if found is None:
            found = importlib.import_module(module_name)
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception:  # noqa: BLE001 - a module may raise anything while it is imported
        return None
    return found if isinstance(found, type) and type_name(found) == name else None
