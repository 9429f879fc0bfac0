"""The process that holds an enclosure: it makes it, waits, and removes it without leaving anything.

`python -m tests.cluster.built.keeper <name> <node>...` prints `open` and holds until its standard input ends, which the
kernel sees to however its starter dies, or until SIGTERM; once it has read the line `stay`, until SIGTERM alone. Should
it be killed itself, the enclosure's first process sees that, and ends, too. It imports little, starts no threads and
does nothing else, so that nothing else can end it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.harness.cache import home

from . import cgroups
from .enclosure import PIDS, claimed_folder, clear, folder_of, release, started, sweep

# Run by the first process. Its arguments are folders that must stay in sight: the programs may be kept below /var/lib,
# if that is where the home of whoever runs the tests is.
_FIRST = """
set -e
trap '' CHLD  # it reaps by ignoring
mount --make-rshared /  # what a kubelet mounts must appear in its containers

# What kubelet, containerd and CNI plugins write to fixed places goes to memory, which ends with the namespace.
hide() {
    for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs $folder; done
    mkdir /run/netns
}
exec 3<"$1" 4<"$2"
hide
for kept in "3 $1" "4 $2"; do
    path=${kept#* }
    if [ ! -e "$path" ]; then
        mkdir -p "$path"
        mount --no-canonicalize --bind /proc/self/fd/${kept%% *} "$path"
    fi
done
exec 3<&- 4<&-

# A kubelet wants the kernel to panic on errors, among others. It gets files of its own to say so.
for setting in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    own=/run/settings/$setting
    mkdir -p ${own%/*}
    cat /proc/sys/$setting >$own
    mount --bind $own /proc/sys/$setting
done

echo open
exec cat >/dev/null  # until the keeper ends
"""
_COMMAND = ["unshare", "--pid", "--mount", "--net", "--fork", "--mount-proc", "--propagation", "private"]
_TREE = Path(__file__).resolve().parents[3]


def main() -> None:
    name, *nodes = sys.argv[1:]
    told = _told()
    sweep()
    with _made_folder(name) as folder:
        try:
            _hold(folder, nodes, told)
        finally:
            clear(folder)


def _told() -> int:
    """A file descriptor that can be read once SIGTERM has come, which does nothing else."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    signal.signal(signal.SIGTERM, lambda *_: None)
    return told


@contextmanager
def _made_folder(name: str) -> Iterator[Path]:
    """The enclosure's folder, made and claimed."""
    folder = folder_of(name)
    while True:
        try:
            folder.mkdir(mode=0o700)  # it will hold keys
        except FileExistsError:
            sys.exit(f"{folder} is there already: another cluster of that name, or somebody else's")
        # Another's sweep may be looking at it, and take it for abandoned.
        with claimed_folder(folder, wait=True) as claimed:
            if claimed:
                yield folder
                return


def _hold(folder: Path, nodes: list[str], told: int) -> None:
    cgroups.create(folder.name, nodes)
    temporary = folder / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    command = [*_COMMAND, "sh", "-c", _FIRST, folder.name, str(home()), str(_TREE)]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as unshare:
        assert unshare.stdin
        assert unshare.stdout
        try:
            if unshare.stdout.readline() != b"open\n":
                sys.exit(f"its first process ended with {unshare.wait()}")
            init = int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())
            keeper = os.getpid()
            pids = {"keeper": keeper, "init": init, "keeper_started": started(keeper)}
            (folder / PIDS).write_text(json.dumps(pids))
            print("open", flush=True)
            _wait(init, told)
        finally:
            (folder / PIDS).unlink(missing_ok=True)
            unshare.stdin.close()
            # It ends after all that it was the first of.
            while _runs(unshare):
                release(folder)


def _wait(init: int, told: int) -> None:
    ended = os.pidfd_open(init)
    waiting = [sys.stdin.fileno(), told, ended]
    while True:
        ready, _, _ = select.select(waiting, [], [])
        if ready != [sys.stdin.fileno()] or os.read(sys.stdin.fileno(), 16) != b"stay\n":
            return
        waiting.remove(sys.stdin.fileno())


def _runs(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(0.2)
    except subprocess.TimeoutExpired:
        return True
    return False


if __name__ == "__main__":
    main()
