"""Paired rounds, and the rows of the table that come of them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

HEAD = "| work | Perdure | against | ratio | aim | reached |\n| --- | --- | --- | --- | --- | --- |"


class Series:
    """One figure over all rounds."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = list(values)

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def over(self, other: Series) -> Series:
        """This figure divided by another, round by round."""
        return Series([ours / theirs for ours, theirs in zip(self.values, other.values, strict=True)])

    def minus(self, other: Series) -> Series:
        """This figure less another, round by round."""
        return Series([ours - theirs for ours, theirs in zip(self.values, other.values, strict=True)])

    def text(self, unit: str = "", digits: int = 0) -> str:
        """Median and range."""
        middle, low, high = (f"{v:,.{digits}f}" for v in (self.median, min(self.values), max(self.values)))
        return (
            f"{middle}{unit and ' ' + unit} ({low} to {high})" if len(self.values) > 1 else f"{middle} {unit}".strip()
        )


Result = Mapping[str, float]


def paired(rounds: int, **contestants: Callable[[], Result]) -> dict[str, dict[str, Series]]:
    """Measure all contestants in turn, in every round; every second round in reverse, so that drift favours nobody."""
    results: dict[str, list[Result]] = {name: [] for name in contestants}
    order = list(contestants)
    for _ in range(rounds):
        for name in order:
            results[name].append(contestants[name]())
        order.reverse()
    return {
        name: {figure: Series([one[figure] for one in taken]) for figure in taken[0]} for name, taken in results.items()
    }


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `reached` is None where there is no aim."""

    work: str
    ours: str
    against: str = ""
    ratio: str = ""
    aim: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        reached = {True: "yes", False: "**no**", None: ""}[self.reached]
        return f"| {self.work} | {self.ours} | {self.against} | {self.ratio} | {self.aim} | {reached} |"
