"""`python -m tests.integration.replay.explore FIRST LAST [RUNTIME]`: check these seeds, and say what fails.

Each failing program is made smaller, and told once for each set of productions that is left.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from . import grammar, oracle
from .productions import ALL
from .zygote import TREE, Zygote


def explore(first: int, last: int, runtime: Path, names: list[str]) -> None:
    """Print what fails."""
    zygote = Zygote(runtime=runtime)
    known: dict[tuple[str, ...], int] = {}
    begun = time.monotonic()
    seeds = range(first, last)
    for seed in seeds:
        program = grammar.write(seed, ALL, without=frozenset([*names, *(one.name for one in ALL if one.alone)]))
        found = oracle.check_twice(zygote, program)
        if found is None or any(set(key) <= program.names for key in known):
            continue
        kind = found.kind
        program, found = oracle.smallest(zygote, program, found)
        key = tuple(sorted(program.names))
        known[key] = known.get(key, 0) + 1
        main = program.source().removeprefix(grammar.PRELUDE).strip()
        print(f"=== seed {seed}: {kind}; {', '.join(key)}\n{main}\n--- {found}\n", flush=True)
    print(f"{len(seeds)} programs in {time.monotonic() - begun:.0f} s; failing: {known}")


if __name__ == "__main__":
    where = Path(sys.argv[3]) if len(sys.argv) > 3 and sys.argv[3] != "-" else TREE / "runtime"
    explore(int(sys.argv[1]), int(sys.argv[2]), where, sys.argv[4:])
