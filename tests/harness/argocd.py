"""What Argo CD makes of an object by the health check in docs/argocd, in the Lua that it speaks (5.1)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lupa.lua51 import LuaRuntime

_CHECK = Path(__file__).resolve().parents[2] / "docs" / "argocd" / "health.lua"


def health(body: dict[str, Any]) -> tuple[str, str]:
    """The status and the message of a Workflow's health. A null is no field, as in the tables that Argo CD makes."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    lua.globals().obj = _table(lua, body)
    answer = dict(lua.execute(_CHECK.read_text()))
    return answer["status"], answer["message"]


def _table(lua: Any, value: Any) -> Any:
    match value:
        case dict():
            return lua.table_from({key: _table(lua, one) for key, one in value.items() if one is not None})
        case list():
            return lua.table_from([_table(lua, one) for one in value])
        case _:
            return value
