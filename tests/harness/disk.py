"""A small disk that a test can fill: a tmpfs of its own, so that nothing else on the machine runs short."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

from .installations import run_as
from .unavailable import unavailable

_BLOCK = 4096


class Disk:
    """A tmpfs of `size` bytes mounted on `folder`."""

    def __init__(self, folder: Path, size: int) -> None:
        if os.geteuid() != 0:
            unavailable("mounting a tmpfs takes root")
        user = run_as()
        options = f"size={size},mode=0700,uid={user['user']},gid={user['group']}"
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, capture_output=True, text=True
        )
        if mounted.returncode != 0:
            unavailable(f"mounting a tmpfs: {mounted.stderr.strip()}")
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Leave not one free block."""
        with self._ballast.open("ab", buffering=0) as file:
            chunk = 1 << 20
            while chunk >= _BLOCK:
                try:
                    file.write(bytes(chunk))
                except OSError as full:
                    if full.errno != errno.ENOSPC:
                        raise
                    chunk //= 2

    def free(self) -> None:
        """Give back what `fill` took."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", self.folder], check=False, capture_output=True)
