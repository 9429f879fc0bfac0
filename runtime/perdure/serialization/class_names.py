"""Classes by name: `module:qualname`, as exceptions, enums and other values are recorded."""

from __future__ import annotations

from ..module_names import find_module, module_name

__all__ = ["find_type", "type_name"]


def type_name(kind: type) -> str:
    """The name under which `find_type` may find a class again, in this and in every other process."""
    # Through `type`, past metaclasses and class attributes that hide the names.
    module = type.__getattribute__(kind, "__module__")
    return f"{module_name(module)}:{type.__getattribute__(kind, '__qualname__')}"


def find_type(name: str) -> type | None:
    """The class of that name, its module imported if need be; None where it is not, or goes by another name."""
    module, _, qualname = name.partition(":")
    if not qualname or "<" in qualname:
        return None
    try:
        found: object = find_module(module)
        for part in qualname.split("."):
            found = getattr(found, part)
    except Exception:  # noqa: BLE001 - a module may raise anything while it is imported
        return None
    return found if isinstance(found, type) and type_name(found) == name else None
