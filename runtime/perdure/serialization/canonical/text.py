"""The parts of a canonical form that hold no other values: texts of scalars, of bytes and of class names."""

from __future__ import annotations

import types
from hashlib import blake2b
from typing import Any, Final

__all__ = ["LONG_TEXT", "SCALARS", "bytes_text", "class_name", "scalar_text", "short_hash"]

SCALARS: Final = frozenset({types.NoneType, bool, int, float, str})
"""Types whose values `ascii` writes, alone and in lists, the same everywhere."""

LONG_TEXT: Final = 2_000
"""Characters from which on the hash of a text stands for it."""

_LONG_BYTES: Final = 1 << 24


def class_name(kind: type) -> str:
    """A class's name without its module: modules move, between releases and between scripts and imports."""
    # Through `type`, past metaclasses and class attributes that hide the name.
    name: str = type.__getattribute__(kind, "__qualname__")
    return name.rpartition("<locals>.")[2]


def scalar_text(value: Any) -> str:
    """The text of a value whose type is one of `SCALARS`."""
    if type(value) is str and len(value) > LONG_TEXT:
        return f"s#{short_hash(value.encode('utf-8', 'surrogatepass'))}"
    try:
        return ascii(value)
    except ValueError:  # an integer longer than `sys.set_int_max_str_digits` allows
        return hex(value)


def short_hash(data: Any) -> str:
    """The hash that stands for a long text or for long bytes."""
    return blake2b(data, digest_size=16).hexdigest()


def bytes_text(data: Any) -> str:
    """The text of a buffer's bytes."""
    size = memoryview(data).nbytes
    if size <= 64:
        return ascii(bytes(data))
    if size <= _LONG_BYTES:
        return f"b#{short_hash(data)}"
    flat = memoryview(data).cast("B")
    half = _LONG_BYTES // 2
    return f"b{size}#{short_hash(flat[:half])}{short_hash(flat[-half:])}"
