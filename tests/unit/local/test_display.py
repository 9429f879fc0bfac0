"""A run as lines of text: one for each thing that happens, and none twice."""

from __future__ import annotations

import io
import time
from datetime import timedelta

import pytest

from perdure.local.display import PlainDisplay, new_display
from perdure.local.live import LiveDisplay
from perdure.store.runs.model import RecordedStep, StepOutcome


@pytest.fixture
def screen() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def display(screen: io.StringIO) -> PlainDisplay:
    made = PlainDisplay("bank:transfer  t-1", screen)
    screen.seek(0)
    screen.truncate()
    return made


def recorded(key: str, outcome: StepOutcome = StepOutcome.RESULT) -> RecordedStep:
    return RecordedStep(key, 1, 2, 1, timedelta(seconds=1), outcome)


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_the_table_and_others_get_lines() -> None:
    assert isinstance(new_display("x", Terminal()), LiveDisplay)
    assert isinstance(new_display("x", io.StringIO()), PlainDisplay)


def test_it_begins_with_the_title() -> None:
    screen = io.StringIO()
    PlainDisplay("bank:transfer  t-1", screen)
    assert screen.getvalue() == "perdure: bank:transfer  t-1\n"


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([{"event": "begun", "attempt": 1, "recorded": 0}], ["attempt 1"]),
        ([{"event": "begun", "attempt": 2, "recorded": 3}], ["attempt 2, 3 steps recorded"]),
        (
            [
                {"event": "started", "key": "a"},
                {"event": "tried", "key": "a", "tries": 1, "error": "OSError: no", "pause": 2.0},
                {
                    "event": "finished",
                    "key": "a",
                    "outcome": "error",
                    "tries": 2,
                    "seconds": 0.25,
                    "error": "OSError: still no",
                },
            ],
            [
                "a: started",
                "a: try 1 failed, next in 2.0 s: OSError: no",
                "a: failed in 250 ms, 2 tries: OSError: still no",
            ],
        ),
        ([{"event": "unheard of"}], []),
    ],
)
def test_each_event_is_a_line(
    display: PlainDisplay, screen: io.StringIO, events: list[dict[str, object]], lines: list[str]
) -> None:
    for event in events:
        display.event(event)
    assert screen.getvalue() == "".join(f"perdure: {line}\n" for line in lines)


def test_a_stored_step_is_told_once(display: PlainDisplay, screen: io.StringIO) -> None:
    display.recorded([recorded("a")])
    display.recorded([recorded("a"), recorded("b", StepOutcome.ERROR)])
    display.event({"event": "replayed", "key": "a", "outcome": "result", "attempt": 2})
    assert screen.getvalue().splitlines() == [
        "perdure: a: done, recorded by attempt 2",
        "perdure: b: failed, recorded by attempt 2",
    ]


def test_a_reason_to_wait_is_told_once_until_it_changes(display: PlainDisplay, screen: io.StringIO) -> None:
    for text in ("the run is suspended", "the run is suspended", "", "the run is suspended"):
        display.waiting(text, None)
    display.waiting("next attempt", time.monotonic() + 30)
    first, second, third = screen.getvalue().splitlines()
    assert first == second == "perdure: the run is suspended"
    assert third.startswith("perdure: next attempt in ")


def test_what_user_code_writes_is_passed_on_as_it_is(display: PlainDisplay, screen: io.StringIO) -> None:
    display.output("half a line")
    display.close()
    assert screen.getvalue() == "half a line"
    display.close("failed after 3 s", well=False)
    assert screen.getvalue() == "half a lineperdure: failed after 3 s\n"
