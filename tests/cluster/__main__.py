"""The cluster of the tests, from a shell: `python -m tests.cluster COMMAND`, of which make has a target for each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from tests.cluster.build import build
from tests.cluster.measure import measure
from tests.cluster.up import down, shell, up

# Each returns its exit code; the first line of its docstring is its help.
COMMANDS: tuple[Callable[[], int], ...] = (build, up, down, shell, measure)


def main(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster", description="The cluster of the tests.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        explained = (command.__doc__ or "").splitlines()[0]
        commands.add_parser(command.__name__, help=explained, description=explained).set_defaults(command=command)
    chosen: Callable[[], int] = parser.parse_args(arguments).command
    return chosen()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
