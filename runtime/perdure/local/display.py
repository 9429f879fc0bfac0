"""Showing a run to a person: as lines of text, or live on a terminal where `rich` is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TextIO

from ..store.runs.model import RecordedStep
from .durations import duration
from .live_model import RunView

__all__ = ["Display", "PlainDisplay", "new_display"]


class Display(Protocol):
    """Output of `perdure run` while it works. No method may hold it up for long.

    Attributes:
        live: whether it must be drawn again and again, and user code must not write to its terminal.
    """

    live: bool

    def recorded(self, steps: Iterable[RecordedStep]) -> None:
        """Steps that the store has."""

    def event(self, event: Mapping[str, Any]) -> None:
        """Something happened in the attempt's process."""

    def attempt_ended(self) -> None:
        """The attempt's process is gone."""

    def output(self, text: str) -> None:
        """Lines that user code wrote."""

    def note(self, text: str) -> None:
        """A sentence for the person."""

    def waiting(self, text: str, until: float | None) -> None:
        """Show the reason of a wait, and its end on the monotonic clock; an empty text ends the wait."""

    def refresh(self) -> None:
        """Draw all changes; called often."""

    def close(self, ending: str = "", *, well: bool = True) -> None:
        """Leave the last picture standing, with how it ended, and whether that is well."""


def new_display(title: str, stream: TextIO | None = None) -> Display:
    """Live if standard error is a terminal, else lines."""
    stream = stream or sys.stderr
    if stream.isatty():
        try:
            from .live import LiveDisplay
        except ImportError:  # rich is an extra's
            pass
        else:
            return LiveDisplay(title, stream)
    return PlainDisplay(title, stream)


class PlainDisplay:
    """One line per event."""

    live = False

    def __init__(self, title: str, stream: TextIO) -> None:
        self._stream = stream
        self._view = RunView()
        self._waiting = ""
        self._told: set[str] = set()
        """Steps whose outcome has its line."""
        self.note(title)

    def recorded(self, steps: Iterable[RecordedStep]) -> None:
        """Take stored steps, of which some may be new to it."""
        steps = list(steps)
        self._view.recorded(steps, time.monotonic())
        for step in steps:
            if step.key not in self._told:
                self._told.add(step.key)
                row = self._view.steps[step.key]
                self.note(f"{step.key}: {row.state}, recorded by attempt {row.attempt}")

    def event(self, event: Mapping[str, Any]) -> None:
        """Print it."""
        self._view.apply(event, time.monotonic())
        match event:
            case {"event": "begun", "attempt": attempt, "recorded": recorded}:
                self.note(f"attempt {attempt}" + (f", {recorded} steps recorded" if recorded else ""))
            case {"event": "started", "key": key}:
                self.note(f"{key}: started")
            case {"event": "tried", "key": key, "tries": tries, "error": error, "pause": pause}:
                self.note(f"{key}: try {tries} failed, next in {duration(pause)}: {error}")
            case {"event": "finished", "key": key, "tries": tries, "seconds": seconds, "error": error}:
                row = self._view.steps[key]
                tried = f", {tries} tries" if tries > 1 else ""
                self._told.add(key)
                self.note(f"{key}: {row.state} in {duration(seconds)}{tried}" + (f": {error}" if error else ""))
            case {"event": "replayed", "key": key, "attempt": attempt} if key not in self._told:
                self._told.add(key)
                self.note(f"{key}: {self._view.steps[key].state}, recorded by attempt {attempt}")
            case _:
                pass

    def attempt_ended(self) -> None:
        """Forget the steps under way."""
        self._view.attempt_ended(time.monotonic())

    def output(self, text: str) -> None:
        """Pass it on."""
        self._write(text)

    def note(self, text: str) -> None:
        """Print it as a line."""
        self._write(f"perdure: {text}\n")

    def waiting(self, text: str, until: float | None) -> None:
        """Print the reason of a wait, once."""
        if text and text != self._waiting:
            self.note(text if until is None else f"{text} in {duration(max(0.0, until - time.monotonic()))}")
        self._waiting = text

    def refresh(self) -> None:
        """Nothing to draw."""

    def close(self, ending: str = "", *, well: bool = True) -> None:  # noqa: ARG002 - the text has it
        """Print the end."""
        if ending:
            self.note(ending)

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
