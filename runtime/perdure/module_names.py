"""Modules by the names under which every process finds them: the one rule for all names that the store keeps.

A module that was run as a script is `__main__` in its own process, and has its file's name everywhere else. Stored
names have the latter; a read name is looked up under both.
"""

from __future__ import annotations

import functools
import importlib
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["find_module", "loaded_module", "module_name", "name_in_package"]

_SCRIPT = ("__main__", "__mp_main__")
"""Names of the module with which a process was started; the second in a process that `multiprocessing` spawned."""


def module_name(name: str) -> str:
    """The name under which another process imports a module: that of its file, for the one that was run as a script.

    A script that has no file, such as a console's, keeps its name.
    """
    if name not in _SCRIPT:
        return name
    # A spawned process has its script as `__main__` as well, but only once it has run.
    main = sys.modules.get(name) or sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name)
    file = getattr(main, "__file__", None)
    return _name_of_script(file) if isinstance(file, str) else name


def loaded_module(name: str) -> ModuleType | None:
    """The module of a stored name, if this process has it already; the script that it runs may be it."""
    module = sys.modules.get(name)
    if name in _SCRIPT or module_name("__main__") != name:
        return module
    main = sys.modules["__main__"]
    # A command such as bin/perdure has the name of a package and is not it.
    is_module = main.__spec__ is not None or str(main.__file__).endswith(".py")
    return main if is_module or module is None else module


def find_module(name: str) -> ModuleType:
    """The module of a stored name, imported if need be.

    Raises:
        Exception: its import raised.
    """
    return loaded_module(name) or importlib.import_module(name)


def name_in_package(file: Path) -> tuple[Path, tuple[str, ...]]:
    """The folder from which a file is imported, and the parts of its name there: those of its packages, and its own."""
    folder, names = file.parent, () if file.stem == "__init__" else (file.stem,)
    while (folder / "__init__.py").exists() and folder != folder.parent:
        names = (folder.name, *names)
        folder = folder.parent
    return folder, names


@functools.cache
def _name_of_script(file: str) -> str:
    return ".".join(name_in_package(Path(file).absolute())[1])
