"""Finding a workflow by its entrypoint: `module:function`, or `path/to/file.py:function` on a command line.

A file is imported under the name that it has in its package, so that the types and errors which it defines are found
again by name in another process.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import module_names
from .definitions import StepDefinition, WorkflowDefinition, definition_of
from .errors import DefinitionError, EntrypointError
from .module_names import find_module, module_name, name_in_package

__all__ = ["ModuleFile", "import_module", "load", "locate"]

_OURS = (__file__, module_names.__file__, importlib.__file__)


@dataclass(frozen=True, slots=True)
class ModuleFile:
    """A module by name; where a person named its file, also that, and the folder from which the name is imported."""

    name: str
    folder: Path | None = None
    file: Path | None = None


def load(reference: str) -> WorkflowDefinition:
    """The workflow that `module:function` or `FILE:FUNCTION` names. Imports its module, from the current folder too.

    Raises:
        EntrypointError: it is not there, cannot be imported, or is not a workflow; the message names the cause.
    """
    place, _, function = reference.rpartition(":")
    if not place or not function:
        raise EntrypointError(
            f"{reference!r} names no workflow: write module:function, such as bank:transfer,"
            " or FILE:FUNCTION, such as flows/bank.py:transfer"
        )
    if "." in function:
        raise EntrypointError(
            f"{reference!r}: {function!r} is inside of something, and a workflow is at the top level of its module"
        )
    module = import_module(locate(place))
    if not hasattr(module, function):
        raise EntrypointError(f"{place!r} has no function {function!r}{_instead(module, function)}")
    try:
        return _definition_in(module, place, function)
    except DefinitionError as error:
        raise EntrypointError(str(error)) from error


def _definition_in(module: ModuleType, place: str, function: str) -> WorkflowDefinition:
    found = getattr(module, function)
    definition = None if isinstance(found, str) else definition_of(found)
    if definition is None:
        hidden = definition_of(f"{module_name(module.__name__)}:{function}")
        if hidden is not None:
            hidden.check_outermost(found)
        raise EntrypointError(_no_workflow(place, function, found))
    if not definition.findable:
        raise EntrypointError(
            f"{function!r} in {place!r} was defined inside of something ({definition.entrypoint.partition(':')[2]}),"
            " where no other process could find it; define it at the top level of its module"
        )
    definition.check_reachable()
    return definition


def locate(place: str) -> ModuleFile:
    """The module that `place` names: a file's path, or a module's dotted name.

    Raises:
        EntrypointError: there is no such file, or none that can be imported.
    """
    if not (place.endswith(".py") or os.sep in place):
        return ModuleFile(place)
    file = Path(os.path.abspath(place))
    if not file.is_file():
        what = "is a folder" if file.is_dir() else "does not exist"
        raise EntrypointError(f"{place} {what}: a workflow is named by its Python file, such as flows/bank.py:transfer")
    if file.suffix != ".py":
        raise EntrypointError(f"{place} is no Python file: its name does not end in .py")
    folder, names = name_in_package(file)
    if bad := [name for name in names if "." in name or not name.strip()]:
        raise EntrypointError(f"{place} cannot be imported by the name {bad[0]!r}: rename it to letters, digits and _")
    return ModuleFile(".".join(names), folder, file)


def import_module(where: ModuleFile) -> ModuleType:
    """Import a module, with its folder (or the current one) first on the import path, now and later.

    Raises:
        EntrypointError: it is not there, or fails as it is imported.
    """
    folder = str(where.folder or os.getcwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        module = find_module(where.name)
    except ModuleNotFoundError as error:
        if error.name is not None and (where.name == error.name or where.name.startswith(f"{error.name}.")):
            searched = ", ".join(path or os.getcwd() for path in sys.path if not path.endswith(".zip"))
            raise EntrypointError(f"there is no module {error.name!r}; searched: {searched}") from error
        raise EntrypointError(_import_failed(where, error)) from error
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise EntrypointError(_import_failed(where, error)) from error
    if where.file is not None and not _is(module, where.file):
        raise EntrypointError(
            f"{where.file} would be imported as {where.name!r}, which is another module already"
            f" ({getattr(module, '__file__', None) or 'built in'}): rename the file"
        )
    return module


def _is(module: ModuleType, file: Path) -> bool:
    loaded = getattr(module, "__file__", None)
    return loaded is not None and os.path.exists(loaded) and os.path.samefile(loaded, file)


def _import_failed(where: ModuleFile, error: BaseException) -> str:
    what = f"{where.file or where.name} cannot be imported: {type(error).__name__}"
    text = str(error)
    if isinstance(error, SystemExit):
        what += f" (it calls sys.exit({text}); put that below: if __name__ == '__main__')"
    elif text:
        what += f": {text}"
    # Frames of the import system, and ours, are of no use to the author of the module.
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen") and frame.filename not in _OURS
    ]
    if frames and not isinstance(error, SyntaxError):
        last = frames[-1]
        what += f"\n  {last.filename}, line {last.lineno}: {last.line}"
    return what


def _instead(module: ModuleType, function: str) -> str:
    there = sorted(name for name, value in vars(module).items() if _is_workflow(value))
    import difflib

    if close := difflib.get_close_matches(function, there, n=1):
        return f"; did you mean {close[0]!r}?"
    if there:
        return f"; its workflows: {', '.join(there)}"
    return ", and no other function there is marked @workflow"


def _is_workflow(value: object) -> bool:
    return isinstance(getattr(value, "definition", None), WorkflowDefinition)


def _no_workflow(place: str, function: str, found: object) -> str:
    what = f"{function!r} in {place!r}"
    if isinstance(getattr(found, "definition", None), StepDefinition):
        return f"{what} is a step, not a workflow; name the function marked @workflow that calls it"
    if callable(found) and not isinstance(found, type):
        return f"{what} is not a workflow: mark it @workflow"
    return f"{what} is not a workflow (it is a value of type {type(found).__name__}): name a function marked @workflow"
