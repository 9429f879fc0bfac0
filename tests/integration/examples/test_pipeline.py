"""The pipeline, killed everywhere: its result, its rows and its picture are those of an undisturbed run."""

from __future__ import annotations

import pytest

from perdure import step
from perdure.testing import kills

from .conftest import ROOT

FOLDER = ROOT / "examples" / "pipeline"
STEPS = ["1/extract", "validate", "2/transform", "3/transform", "4/transform", "load", "5/plot"]
LOADED = {"Adelie": 151, "Chinstrap": 68, "Gentoo": 123}


@pytest.mark.parametrize("place", [None, *(f"{when}:{key}" for key in STEPS for when in ("in", "after"))])
def test_killed(place, example, tmp_path):
    picture = tmp_path / "penguins.png"
    run = example("examples/pipeline/pipeline.py:pipeline", {"report": str(picture)})
    if place is not None:
        run.kill(place, tmp_path)
    ended = run.run()
    assert (ended["state"], ended["attempts"]) == ("succeeded", 1 if place is None else 2)
    assert ended["result"] == {"rows": 344, "rejected": 2, "loaded": LOADED, "plot": str(picture)}
    rows = "SELECT species, count(*) FROM penguins WHERE run = 'the-run' GROUP BY species"
    assert dict(run.database.query(rows)) == LOADED
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert sorted(run.attempts()) == sorted(STEPS)
    if place is not None:
        when, _, key = place.partition(":")
        done = [one for one, attempt in run.attempts().items() if attempt == 1]
        assert (key in done) is (when == "after")


def test_killed_in_memory(monkeypatch, tmp_path):
    """The same without a database: what is loaded is handed over by a step that needs none."""
    monkeypatch.syspath_prepend(str(FOLDER))
    import pipeline  # type: ignore[import-not-found]

    loads = []

    @step
    async def load(summaries: list[pipeline.Summary]) -> dict[str, int]:
        loads.append(summaries)
        return {summary.species: len(summary.penguins) for summary in summaries}

    monkeypatch.setattr(pipeline, "load", load)
    picture = tmp_path / "penguins.png"
    pictures = set()
    for run in kills(pipeline.pipeline, picture):
        assert run.result() == pipeline.Report(344, 2, LOADED, picture)
        pictures.add(picture.read_bytes())
        assert sorted(run.checkpoints) == sorted(STEPS)
    assert len(pictures) == 1
    assert all(one == loads[0] for one in loads)
