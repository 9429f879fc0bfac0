"""A data pipeline that goes on from its last finished step: extract, validate, transform, load, report with a plot.

    perdure run examples/pipeline/pipeline.py:pipeline --input '{"report": "penguins.png"}'

The data are the measurements of 344 penguins that the PyPI package `palmerpenguins` ships as a file. Each species is a
partition, transformed in a step of its own, all of them at the same time. Rows travel between steps as values of types,
which are checked when they are written and when they are read back. Steps that would hold the event loop are sync,
in threads.
"""

from __future__ import annotations

import asyncio
import csv
import importlib.metadata
import statistics
from dataclasses import dataclass
from pathlib import Path

from perdure import Retry, step, step_context, to_thread, workflow

COLOURS = {"Adelie": "#d95f02", "Chinstrap": "#7570b3", "Gentoo": "#1b9e77"}


@dataclass
class Penguin:
    """One bird; millimetres and grams."""

    species: str
    island: str
    flipper_mm: float
    mass_g: float
    sex: str | None


@dataclass
class Valid:
    """The rows that can be used, and how many could not."""

    penguins: list[Penguin]
    rejected: int


@dataclass
class Summary:
    """One species: its birds, and the line mass = slope * flipper + offset that fits them best."""

    species: str
    penguins: list[Penguin]
    mean_mass_g: float
    slope: float
    offset: float


@dataclass
class Report:
    """What came of it."""

    rows: int
    rejected: int
    loaded: dict[str, int]
    plot: Path


@workflow
async def pipeline(report: Path = Path("penguins.png")) -> Report:
    rows = await to_thread(extract)
    valid = await validate(rows)
    partitions = sorted({penguin.species for penguin in valid.penguins})
    summaries = await asyncio.gather(
        *(transform(name, [one for one in valid.penguins if one.species == name]) for name in partitions)
    )
    loaded = await load(summaries)
    return Report(len(rows), valid.rejected, loaded, await to_thread(plot, summaries, report))


@step(retry=Retry(tries=3, on=OSError))
def extract() -> list[dict[str, str]]:
    """The rows of the file as they are, without importing the package, which would import pandas."""
    (file,) = (one for one in importlib.metadata.files("palmerpenguins") or () if one.name == "penguins.csv")
    with Path(str(file.locate())).open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


@step
async def validate(rows: list[dict[str, str]]) -> Valid:
    """Keep the rows that have their measurements."""
    penguins = []
    for row in rows:
        if row["species"] in COLOURS and "NA" not in (row["flipper_length_mm"], row["body_mass_g"]):
            sex = None if row["sex"] == "NA" else row["sex"]
            flipper, mass = float(row["flipper_length_mm"]), float(row["body_mass_g"])
            penguins.append(Penguin(row["species"], row["island"], flipper, mass, sex))
    return Valid(penguins, len(rows) - len(penguins))


@step
async def transform(species: str, penguins: list[Penguin]) -> Summary:
    """One partition."""
    flippers, masses = [one.flipper_mm for one in penguins], [one.mass_g for one in penguins]
    line = statistics.linear_regression(flippers, masses)
    return Summary(species, penguins, statistics.fmean(masses), line.slope, line.intercept)


@step(database=True, retry=Retry(tries=3))
async def load(summaries: list[Summary]) -> dict[str, int]:
    """Write all birds into a table; the rows and the step's checkpoint commit together, so they are there once."""
    connection = step_context().connection
    await connection.execute(
        "CREATE TABLE IF NOT EXISTS penguins (run text, species text, island text, flipper_mm float, mass_g float)"
    )
    for summary in summaries:
        rows = [(step_context().id, one.species, one.island, one.flipper_mm, one.mass_g) for one in summary.penguins]
        async with connection.cursor() as cursor:
            await cursor.executemany("INSERT INTO penguins VALUES (%s, %s, %s, %s, %s)", rows)
    return {summary.species: len(summary.penguins) for summary in summaries}


@step(timeout=60)
def plot(summaries: list[Summary], file: Path) -> Path:
    """Draw the report. Writing the same file again does no harm, so the step may run again."""
    from matplotlib.figure import Figure  # takes a second, and only this step needs it

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for summary in summaries:
        colour = COLOURS[summary.species]
        flippers = [one.flipper_mm for one in summary.penguins]
        label = f"{summary.species}: {len(flippers)} birds, {summary.mean_mass_g / 1000:.1f} kg on average"
        masses = [one.mass_g / 1000 for one in summary.penguins]
        axes.scatter(flippers, masses, s=22, color=colour, alpha=0.55, linewidths=0, label=label)
        ends = [min(flippers), max(flippers)]
        axes.plot(ends, [(summary.slope * x + summary.offset) / 1000 for x in ends], color=colour, linewidth=2)
    axes.set(xlabel="flipper length (mm)", ylabel="body mass (kg)")
    axes.set_title("Longer flippers, heavier penguins, in each species", loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=150)
    return file.absolute()
