from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness.pythons import venv_for

TREE = Path(__file__).resolve().parents[3]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_environment_runs_this_tree_is_kept_and_heals(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    venv_for.cache_clear()
    try:
        venv = venv_for(Path(sys.executable))
        assert venv.is_relative_to(tmp_path)
        python = str(venv / "bin" / "python")
        where = [python, "-I", "-c", "from perdure import errors; print(errors.__file__)"]
        assert subprocess.check_output(where, text=True).strip() == str(TREE / "runtime" / "perdure" / "errors.py")

        made = (venv / "pyvenv.cfg").stat().st_mtime_ns
        venv_for.cache_clear()
        assert venv_for(Path(sys.executable)) == venv
        assert (venv / "pyvenv.cfg").stat().st_mtime_ns == made

        Path(python).unlink()
        venv_for.cache_clear()
        assert venv_for(Path(sys.executable)) == venv
        subprocess.run(where, check=True, capture_output=True)
    finally:
        venv_for.cache_clear()
