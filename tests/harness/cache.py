"""What takes long to make, kept in the user's cache folder: made by whoever comes first, checked by everybody.

An entry is a folder named after its kind and a key of its content. It is made under another name and then renamed, so
that a killed maker leaves none half done. It lists the SHA-256 of its files, so that a damaged one is made anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Say", "entry", "home", "key_of", "locked"]

Say = Callable[[str], None]
"""Tells a person one line of what is going on."""

_SUMS = "SHA256SUMS"  # as `sha256sum --check` reads it

# Kept of each kind: the entries last used, and whatever a running test may still be using.
_KEPT = 3
_IN_USE_S = 24 * 3600


def home() -> Path:
    """The folder of all entries, made if need be."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "perdure" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock file `path`; calls `waiting` if somebody else has it. A process that dies lets go of it."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def key_of(parts: Iterable[bytes | str]) -> str:
    """A key of 16 hexadecimal digits for these parts, in this order."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def entry(kind: str, key: str, make: Callable[[Path], None], say: Say) -> Path:
    """The folder that `make` filled for this key; made now where it is missing or its files are not what they were.

    `make` gets an empty folder; what it raises is passed on and leaves nothing behind. One process at a time makes
    entries of a kind, the others wait for it.
    """
    folder = home() / f"{kind}-{key}"
    with locked(home() / f"{kind}.lock", waiting=lambda: say(f"Another run is making {kind}: waiting for it")):
        if folder.exists():
            damage = _damage(folder)
            if damage is None:
                os.utime(folder)  # the time of its last use
                return folder
            say(f"The cached {kind} are damaged ({damage}): making them anew")
        # Whoever was making one of these is dead: we have the lock. What of theirs still runs must not write into ours.
        for left in home().glob(f".{kind}-*"):
            shutil.rmtree(left, ignore_errors=True)
        new = Path(tempfile.mkdtemp(prefix=f".{kind}-", dir=home()))
        try:
            new.chmod(0o755)
            make(new)
            _write_sums(new)
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        _prune(kind)
    return folder


def _write_sums(folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if not path.is_dir())
    digests = _Digests()
    (folder / _SUMS).write_text("".join(f"{digests[path]}  {path.relative_to(folder)}\n" for path in files))


def _damage(folder: Path) -> str | None:
    """What is wrong with an entry; None if it is whole."""
    digests = _Digests()
    try:
        lines = (folder / _SUMS).read_text().splitlines()
        for line in lines:
            wanted, _, name = line.partition("  ")
            if digests[folder / name] != wanted:
                return f"{name} has changed"
    except (OSError, UnicodeDecodeError) as problem:
        return str(problem)
    return None if lines else f"{_SUMS} is empty"


class _Digests(dict[Path, str]):
    """The SHA-256 of files, each read once, however many links lead to it."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[tuple[int, int], str] = {}

    def __missing__(self, path: Path) -> str:
        with path.open("rb") as file:
            stat = os.fstat(file.fileno())
            known = self._read.get((stat.st_dev, stat.st_ino))
            if known is None:
                known = hashlib.file_digest(file, "sha256").hexdigest()
                self._read[stat.st_dev, stat.st_ino] = known
        self[path] = known
        return known


def _prune(kind: str) -> None:
    entries = sorted(home().glob(f"{kind}-*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    for folder in entries[_KEPT:]:
        if time.time() - folder.stat().st_mtime > _IN_USE_S:
            shutil.rmtree(folder, ignore_errors=True)
