"""A worker in a process of its own: `main.py OPTIONS`, its keyword arguments as JSON."""

from __future__ import annotations

import importlib
import json
import logging
import os
import sys
from typing import Any

from perdure.worker import Worker

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(name)s %(message)s")
    # Found under this name in every process, wherever the tests live.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    importlib.import_module("flows")
    options: dict[str, Any] = json.loads(sys.argv[1])
    Worker(**options).run()
