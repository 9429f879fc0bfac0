"""A run on a terminal: a table of its steps that follows the events, and below it the reason of a wait."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, Group, JustifyMethod
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..store.runs.model import RecordedStep
from .durations import duration
from .live_model import RunView, StepRow, StepState

__all__ = ["LiveDisplay"]

_MARKS = {
    StepState.RUNNING: ("●", "cyan"),
    StepState.RETRYING: ("↻", "yellow"),
    StepState.DONE: ("✓", "green"),
    StepState.FAILED: ("✗", "red"),
    StepState.CANCELLED: ("-", "yellow"),
    StepState.INTERRUPTED: ("!", "red"),
}
_PLAIN_MARKS = {"●": "*", "↻": "~", "✓": "+", "✗": "x"}

_DRAWS_PER_SECOND = 10.0
_BESIDES_STEPS = 6
"""Lines of the screen that are not steps."""


class LiveDisplay:
    """Draws on `stream`, a terminal, at most ten times a second."""

    live = True

    def __init__(self, title: str, stream: TextIO, *, width: int | None = None) -> None:
        self._console = Console(file=stream, width=width, highlight=False, soft_wrap=False)
        self._title = title
        self._view = RunView()
        self._waiting: tuple[str, float | None] = ("", None)
        self._drawn = 0.0
        self._ending = Text()
        self._partial = ""
        self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
        self._live.start()

    def recorded(self, steps: Iterable[RecordedStep]) -> None:
        """Show them."""
        self._view.recorded(steps, time.monotonic())

    def event(self, event: Mapping[str, Any]) -> None:
        """Show it."""
        self._view.apply(event, time.monotonic())

    def attempt_ended(self) -> None:
        """Mark the steps that were under way."""
        self._view.attempt_ended(time.monotonic())

    def output(self, text: str) -> None:
        """Print whole lines above the table."""
        lines, newline, self._partial = (self._partial + text).rpartition("\n")
        if newline:
            self._console.print(Text.from_ansi(lines))

    def note(self, text: str) -> None:
        """Print it above the table."""
        self._console.print(Text(text, style="dim"))

    def waiting(self, text: str, until: float | None) -> None:
        """Show it below the table, with a countdown."""
        self._waiting = (text, until)

    def refresh(self) -> None:
        """Draw, if the last picture is old enough."""
        now = time.monotonic()
        if now - self._drawn >= 1 / _DRAWS_PER_SECOND:
            self._drawn = now
            self._live.update(self._picture(now), refresh=True)

    def close(self, ending: str = "", *, well: bool = True) -> None:
        """Draw the last picture."""
        self.output("\n" if self._partial else "")
        self._waiting = ("", None)
        self._ending = Text(ending, style="bold green" if well else "bold red")
        self._live.update(self._picture(time.monotonic()), refresh=True)
        self._live.stop()

    def _picture(self, now: float) -> Group:
        view = self._view
        title = Text(self._title, style="bold")
        if view.attempt:
            title.append(f"  attempt {view.attempt}", style="not bold dim" if view.attempt == 1 else "not bold yellow")
        rows = list(view.steps.values())
        room = max(3, self._console.height - _BESIDES_STEPS)
        hidden = max(0, len(rows) - room)
        parts: list[Text | Table] = [title]
        if hidden:
            done = sum(row.state is StepState.DONE for row in rows[:hidden])
            parts.append(Text(f"  ... {hidden} earlier steps, {done} of them done", style="dim"))
        if rows:
            parts.append(self._table(rows[hidden:], now))
        text, until = self._waiting
        if text:
            left = "" if until is None else f" in {duration(max(0.0, until - now))}"
            parts.append(Text(f"{text}{left}", style="yellow"))
        if self._ending:
            parts.append(self._ending)
        return Group(*parts)

    def _table(self, rows: list[StepRow], now: float) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)
        # Fixed widths, so that nothing jumps as the rows change; the rest of the width is for errors.
        keys = min(max([len("step"), *(cell_len(row.key) for row in rows)]), max(12, self._console.width // 3))
        widths = (1, keys, 11, 9, 5, 7)
        for name, width in zip((" ", "step", "state", "time", "tries", "attempt"), widths, strict=True):
            justify: JustifyMethod = "right" if name in ("time", "tries", "attempt") else "left"
            table.add_column(name, justify=justify, width=width, overflow="ellipsis", no_wrap=True)
        left = max(0, self._console.width - sum(widths) - 2 * len(widths))
        table.add_column("", width=left, overflow="ellipsis", no_wrap=True)
        for row in rows:
            self._add(table, row, now)
        return table

    def _add(self, table: Table, row: StepRow, now: float) -> None:
        mark, color = _MARKS[row.state]
        if self._console.encoding.lower().replace("-", "") != "utf8":
            mark = _PLAIN_MARKS.get(mark, mark)
        seconds = now - row.since if row.seconds is None else row.seconds
        remark = (row.error or "").partition("\n")[0]
        if row.next_try is not None:
            remark = f"again in {duration(max(0.0, row.next_try - now))}: {remark}"
        dim = row.replayed
        table.add_row(
            Text(mark, style=color),
            row.key,
            Text("recorded" if dim else row.state, style=color if not dim else ""),
            duration(seconds),
            Text(str(row.tries), style="yellow" if row.tries > 1 else "dim"),
            Text(str(row.attempt), style="dim"),
            Text(remark, style="yellow" if row.state is StepState.RETRYING else "red"),
            style="dim" if dim else None,
        )
