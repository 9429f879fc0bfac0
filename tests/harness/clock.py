"""A clock that a test sets while processes run under it, by Debian's libfaketime.

Only wall-clock time is set, as by a person or NTP; monotonic clocks go on undisturbed.
"""

from __future__ import annotations

import os
from pathlib import Path

from .unavailable import unavailable

# libfaketime 0.9.10 breaks clock_nanosleep() until a point in time, and so Python's time.sleep(), and nothing else.
_SLEEP = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
"""


class Clock:
    """Wall-clock time for the processes that are started with `environment()`, as an offset to the true one."""

    def __init__(self, folder: Path) -> None:
        self._library = _library()
        self._file = folder / "clock"
        self._python = folder / "python"
        self._python.mkdir()
        (self._python / "sitecustomize.py").write_text(_SLEEP)
        self.set_offset(0)

    def set_offset(self, seconds: float) -> None:
        """Step the clock: from now on it shows the true time plus `seconds`."""
        # Renamed into place: a process reads this file at every look at its clock, never half of it.
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{seconds:+.6f}\n")
        draft.chmod(0o644)
        os.replace(draft, self._file)

    def environment(self) -> dict[str, str]:
        """The variables that put a process under this clock."""
        path = os.environ.get("PYTHONPATH")
        return {
            "PYTHONPATH": f"{self._python}{os.pathsep}{path}" if path else str(self._python),
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # the name in libfaketime 0.9.7 and older
        }


def _library() -> Path:
    found = [
        *Path("/usr").glob("lib*/*/faketime/libfaketimeMT.so.1"),
        *Path("/usr").glob("lib*/faketime/libfaketimeMT.so.1"),
    ]
    if not found:
        unavailable("libfaketime (Debian: apt-get install libfaketime)")
    return found[0]


def remove_traces(pid: int) -> None:
    """Remove the shared memory that libfaketime made for a process which was killed before it could do so."""
    for name in (f"faketime_shm_{pid}", f"sem.faketime_sem_{pid}"):
        (Path("/dev/shm") / name).unlink(missing_ok=True)
