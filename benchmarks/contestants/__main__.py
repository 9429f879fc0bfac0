"""Runs one contestant and prints the figures that it returns, if any, as JSON."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    contestant = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), function)
    if (figures := contestant(**json.loads(sys.argv[2]))) is not None:
        print(json.dumps(figures), flush=True)
