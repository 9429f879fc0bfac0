"""Runs one contestant and prints what it returns as JSON."""

from __future__ import annotations

import importlib
import json
import sys

if __name__ == "__main__":
    module, _, function = sys.argv[1].partition(":")
    contestant = getattr(importlib.import_module(f"benchmarks.contestants.{module}"), function)
    print(json.dumps(contestant(**json.loads(sys.argv[2]))), flush=True)
