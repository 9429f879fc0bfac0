"""Exit codes are part of what Perdure promises: none changes its number."""

from __future__ import annotations

from perdure.pod import ExitCode


def test_the_numbers():
    assert {code.name: code.value for code in ExitCode} == {
        "SUCCEEDED": 0,
        "FAILED": 1,
        "USAGE": 64,
        "NOT_STARTED": 69,
        "RELEASED": 75,
        "SUPERSEDED": 76,
        "SECOND_START": 77,
        "CANCELLED": 78,
        "CRASHED": 79,
    }
