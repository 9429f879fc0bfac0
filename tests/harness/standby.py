"""A streaming, asynchronous standby of a Server, which can fall behind and be promoted."""

from __future__ import annotations

from .eventually import eventually
from .installations import hand_over
from .postgres import PORT, SUPERUSER, Server


class Standby(Server):
    """A hot standby; after `promote` a primary on a timeline of its own."""

    def __init__(self, primary: Server) -> None:
        folder = primary.workspace.new_folder("pg")
        hand_over(folder)
        self._source = f"host={primary.folder} port={PORT} user={SUPERUSER}"
        take = [
            "-D",
            str(folder / "data"),
            "-d",
            self._source,
            "--checkpoint=fast",
            "--no-sync",
            "--write-recovery-conf",
        ]
        primary.installation.run("pg_basebackup", *take)
        self.primary = primary
        super().__init__(primary.workspace, primary.installation, folder)
        eventually(self._streaming)

    def fall_behind(self) -> None:
        """Receive nothing more: what the primary acknowledges from now on is not here, and lost on `promote`."""
        self.set(primary_conninfo="")
        eventually(lambda: not self._streaming())

    def pause_replay(self) -> None:
        """Receive, but do not apply: readers here see an old state, and `promote` loses nothing."""
        self.query("SELECT pg_wal_replay_pause()")

    def catch_up(self) -> None:
        """Receive and apply again; returns when everything the primary has by now is here."""
        self.query("SELECT pg_wal_replay_resume()")
        self.set(primary_conninfo=self._source)
        [(position,)] = self.primary.query("SELECT pg_current_wal_flush_lsn()")
        behind = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
        eventually(lambda: self.query(behind, position) == [(True,)], deadline=30)

    def promote(self) -> None:
        """Make it a primary; returns when it accepts writes. The old primary is left as it is."""
        assert self.query("SELECT pg_promote(true, 30)") == [(True,)]

    def _streaming(self) -> bool:
        return bool(self.query("SELECT 1 FROM pg_stat_wal_receiver"))
