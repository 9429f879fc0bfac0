"""Events of an attempt on a pipe, which never hold up whoever writes them."""

from __future__ import annotations

import json
import os

import pytest

from perdure.process.progress_events import VARIABLE, Events


def test_events_are_lines_of_json_and_user_code_does_not_see_the_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setenv(VARIABLE, str(writing))

    events = Events.of_environment()
    events.begun(2, 3)
    events.tried("a", 1, ValueError("no"), 0.5)
    os.close(writing)

    first, second = (json.loads(line) for line in os.read(reading, 65536).splitlines())
    os.close(reading)
    assert (first["event"], first["attempt"], first["recorded"]) == ("begun", 2, 3)
    assert (second["key"], second["error"], second["pause"]) == ("a", "ValueError: no", 0.5)
    assert events
    assert VARIABLE not in os.environ


def test_a_pipe_that_nobody_reads_stops_nobody() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    events = Events(writing)

    for n in range(100_000):
        events.started(f"step#{n}")
    os.close(reading)
    events.started("after its reader has gone")
    os.close(writing)


def test_a_long_message_is_cut_and_its_line_stays_whole() -> None:
    reading, writing = os.pipe()

    Events(writing).finished("a" * 600, "error", 1, 0.1, ValueError("é" * 100_000))

    os.close(writing)
    line = os.read(reading, 65536)
    os.close(reading)
    assert len(line) <= 4096
    assert json.loads(line)["key"] == "a" * 600


@pytest.mark.parametrize("value", ["", "x", "999999"])
def test_without_a_pipe_they_are_silent(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(VARIABLE, value)

    events = Events.of_environment()
    events.started("a")

    assert not events
