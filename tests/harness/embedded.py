"""An embedded database under test: its processes, and commands that use it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg

from perdure.store.embedded import embedded
from perdure.store.embedded.data_folder import Folder

from .eventually import eventually
from .processes import Child, Children, alive
from .workspace import Workspace, processes_in

_made: Workspace | None = None

_USER = """
    import signal, sys
    from pathlib import Path
    from perdure.store.embedded import embedded

    hold = embedded.acquire(Path(sys.argv[1]), idle=float(sys.argv[2]))
    print("has", hold.url)
    signal.pause()
"""


class EmbeddedDatabase:
    """The embedded database below `base`, seen from outside."""

    def __init__(self, base: Path, children: Children) -> None:
        self.base = base
        self.folder = Folder(str(base))
        self._children = children

    def fill(self) -> None:
        """Lay down a fresh data folder that another database of this test run made, to save the time for initdb."""
        global _made
        if _made is None:
            _made = Workspace()
            with embedded.database(_made.folder, idle=0):
                pass
            EmbeddedDatabase(_made.folder, self._children).gone()
        Path(self.folder.path).mkdir(mode=0o711)
        subprocess.run(["cp", "-a", Folder(str(_made.folder)).data, self.folder.data], check=True)

    def user(self, *, idle: float = 5.0) -> Child:
        """Start a command that uses the database until it is killed."""
        return self._children.code(_USER, str(self.base), str(idle))

    def attached_user(self, *, idle: float = 5.0) -> Child:
        """As `user`, once it has the server."""
        child = self.user(idle=idle)
        child.wait_for_output("has ", 20)
        return child

    @property
    def server(self) -> int:
        """Process id of the running server."""
        pid, state = self.folder.server_pid()
        assert pid is not None
        assert state == "ready"
        assert alive(pid)
        return pid

    @property
    def keepers(self) -> list[int]:
        """Process ids of everything that runs the keeper for this database."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                arguments = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if os.fsencode(self.base) in arguments and any(b"embedded.keeper" in part for part in arguments):
                found.append(int(entry.name))
        return found

    @property
    def keeper(self) -> int:
        """Process id of the one keeper."""
        (pid,) = self.keepers
        return pid

    def processes(self) -> list[int]:
        """Keepers, and whoever works in the server's data folder."""
        return [*self.keepers, *processes_in(Path(self.folder.data))]

    def gone(self, deadline: float = 10.0) -> None:
        """Wait until no process is left."""
        eventually(lambda: not self.processes(), deadline)

    def starts(self) -> int:
        """How often a server came up here, by its log."""
        return len(re.findall("ready to accept connections", Path(self.folder.log).read_text()))

    def connect(self) -> psycopg.Connection:
        """A connection; to the next server, where the one that answers is just dying of a kill."""

        def connected() -> psycopg.Connection:
            try:
                return psycopg.connect(self.folder.url)
            except psycopg.OperationalError as error:
                raise AssertionError(str(error)) from error

        return eventually(connected)

    def rows(self) -> list[int]:
        """What `write` wrote."""
        with self.connect() as connection:
            return [n for (n,) in connection.execute("SELECT n FROM kept ORDER BY n")]

    def write(self, *numbers: int) -> None:
        """Commit rows."""
        with self.connect() as connection:
            connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            for n in numbers:
                connection.execute("INSERT INTO kept VALUES (%s)", [n])
