"""`perdure exec`: it starts without what it can do without."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.integration.cli.conftest import Cli


def test_exec_loads_little(cli: Cli) -> None:
    code = "import sys; sys.argv = ['perdure', 'exec']; from perdure.cli.main import main; main(); print(*sys.modules)"
    started = time.monotonic()
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split()

    assert time.monotonic() - started < 30
    assert not {"argparse", "sqlalchemy", "rich", "yaml", "alembic"} & set(loaded)
