"""The process that holds an enclosure: it makes it, waits, and removes it without leaving anything.

`python -m tests.cluster.built.keeper <name> <node>...` prints `open` and holds until its standard input ends, which the
kernel sees to however its starter dies; with `--lasting` until it is told by SIGTERM. It imports little, starts no
threads and does nothing else, so that nothing else can end it.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from . import cgroups
from .enclosure import claimed_folder, clear, folder_of, sweep

# The first process reaps by ignoring SIGCHLD. What kubelet, containerd and CNI plugins write to fixed places goes to
# memory that ends with the namespace, and what a kubelet mounts must appear in its containers.
_FIRST = """
set -e
trap '' CHLD
mount --make-rshared /
for folder in /run /var/lib /var/log; do mount -t tmpfs tmpfs $folder; done
mkdir -p /run/netns
echo open
exec sleep infinity
"""
_COMMAND = [
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"),
    *("sh", "-c", _FIRST),
]


class _Told(Exception):
    """SIGTERM."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("nodes", nargs="*")
    parser.add_argument("--lasting", action="store_true")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, _told)
    sweep()
    folder = folder_of(arguments.name)
    folder.mkdir()
    with claimed_folder(folder) as claimed:
        assert claimed, f"{folder} has just been made"
        try:
            _hold(folder, arguments.nodes, lasting=arguments.lasting)
        except _Told:
            pass
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            clear(folder)


def _hold(folder: Path, nodes: list[str], *, lasting: bool) -> None:
    cgroups.create(folder.name, nodes)
    with subprocess.Popen(_COMMAND, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as unshare:
        assert unshare.stdout
        if unshare.stdout.readline() != b"open\n":
            sys.exit(1)
        init = int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())
        ended = os.pidfd_open(init)
        try:
            (folder / "enclosure.json").write_text(json.dumps({"keeper": os.getpid(), "init": init}))
            print("open", flush=True)
            if lasting:
                unshare.wait()
            else:
                sys.stdin.read()
        finally:
            unshare.kill()
            select.select([ended], [], [])  # it ends after all that it was the first of
            os.close(ended)


def _told(*_: object) -> NoReturn:
    raise _Told


if __name__ == "__main__":
    main()
