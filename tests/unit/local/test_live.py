"""The table on a terminal: what it shows, at any width and for any number of steps."""

from __future__ import annotations

import io

from perdure.local.live import LiveDisplay


class Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def last_picture(display: LiveDisplay, screen: Terminal) -> list[str]:
    start = len(screen.getvalue())
    display.close("failed after 3 s", well=False)
    return screen.getvalue()[start:].splitlines()


def shown(*events: dict[str, object], width: int = 80) -> str:
    screen = Terminal()
    display = LiveDisplay("bank:transfer  t-17", screen, width=width)
    for event in ({"event": "begun", "attempt": 2, "recorded": 0}, *events):
        display.event(event)
    return "\n".join(last_picture(display, screen))


def finished(key: str, **more: object) -> dict[str, object]:
    return {"event": "finished", "key": key, "outcome": "result", "tries": 1, "seconds": 0.25, "error": None, **more}


def test_a_row_has_state_time_tries_and_attempt() -> None:
    picture = shown({"event": "started", "key": "charge"}, finished("charge", tries=3))

    for part in ("bank:transfer", "attempt 2", "charge", "done", "250 ms", "3", "failed after 3 s"):
        assert part in picture


def test_a_long_error_takes_no_room_from_the_columns() -> None:
    error = {"event": "tried", "key": "charge", "tries": 1, "error": "E: " + "x" * 300, "pause": 9}
    picture = shown({"event": "started", "key": "charge"}, error)

    for part in ("charge", "waiting", "again in", "…"):
        assert part in picture
    assert "x" * 100 not in picture


def test_of_many_steps_the_newest_are_shown_and_the_others_counted() -> None:
    picture = shown(*(finished(f"step#{n}") for n in range(1000)))

    assert "step#999" in picture
    assert "step#1 " not in picture
    assert "earlier steps" in picture
