"""A start, checked before anything is stored; and whether a run that has its id already is the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from perdure import workflow
from perdure.errors import InputError, RunConflict, UsageError
from perdure.start import Start
from perdure.store.runs.runs import NewRun, StoredInput


@workflow(cleanup=5)
def transfer(amount: int, to: str = "savings", tags: set[str] | None = None) -> None: ...


ENTRYPOINT = transfer.definition.entrypoint  # type: ignore[attr-defined]


def start(what: Any = transfer, *args: object, **more: Any) -> Start:
    options: dict[str, Any] = {"queue": "default", "id": "t-1", "input": None, "backoff_limit": 6} | more
    return Start.of(what, args, **options)


class Store:
    """A store in which each name has a run already, but for the first."""

    def __init__(self, stored: NewRun | None = None) -> None:
        self.stored = stored

    def insert(self, run: NewRun) -> StoredInput:
        self.stored = self.stored or run
        return StoredInput(self.stored.run_id, self.stored.entrypoint, self.stored.input, self.stored.origin)


def begin(made: Start, store: Store) -> UUID:
    return made.begin(store)  # type: ignore[arg-type]


def test_it_becomes_a_new_run() -> None:
    run = start(transfer, 3, deadline=60.0).run
    assert (run.id, run.owner, run.entrypoint) == ("t-1", "queue:default", ENTRYPOINT)
    assert json.loads(run.input) == {"amount": 3}
    assert (run.backoff_limit, run.deadline, run.cleanup) == (6, 60.0, 5.0)


def test_without_an_id_each_has_its_own() -> None:
    one, other = (start(transfer, 3, id=None).run for _ in range(2))
    assert one.id != other.id
    assert one.run_id != other.run_id


def test_one_that_is_not_imported_goes_by_its_name_and_takes_any_input() -> None:
    made = start("elsewhere:flow", input={"n": [1]})
    assert made.definition is None
    assert json.loads(made.run.input) == {"n": [1]}
    assert json.loads(start("elsewhere:flow").run.input) == {}


@pytest.mark.parametrize(
    ("what", "args", "more", "error", "why"),
    [
        (len, (), {}, UsageError, "is not a workflow: mark the function @workflow"),
        ("flow", (), {}, UsageError, "names no workflow"),
        (":flow", (), {}, UsageError, "names no workflow"),
        ("a:\x00", (), {}, UsageError, "names no workflow"),
        ("elsewhere:flow", (1,), {}, UsageError, "is not imported here"),
        ("elsewhere:flow", (), {"input": [1]}, InputError, "input is an object"),
        (transfer, (1,), {"input": {"amount": 1}}, UsageError, "not both"),
        (transfer, ("three",), {}, InputError, "amount"),
        (transfer, (), {"input": {"amount": 1, "more": 2}}, InputError, "more"),
        (transfer, (1,), {"backoff_limit": -1}, UsageError, "backoff_limit=-1"),
        (transfer, (1,), {"backoff_limit": True}, UsageError, "backoff_limit=True"),
        (transfer, (1,), {"backoff_limit": 1 << 31}, UsageError, "backoff_limit="),
        (transfer, (1,), {"deadline": 0}, UsageError, "deadline=0"),
        (transfer, (1,), {"deadline": float("inf")}, UsageError, "deadline=inf"),
        (transfer, (1,), {"queue": ""}, UsageError, "queue"),
        (transfer, (1,), {"id": ""}, UsageError, "id of a run"),
    ],
)
def test_what_makes_no_sense_is_refused(
    what: Any, args: tuple[object, ...], more: dict[str, Any], error: type[Exception], why: str
) -> None:
    with pytest.raises(error, match=why):
        start(what, *args, **more)


def test_the_first_is_the_run_and_the_same_again_is_it_too() -> None:
    store, first = Store(), start(transfer, 3, "savings", {"a", "b", "c"})
    assert begin(first, store) == first.run.run_id
    for same in (
        start(transfer, 3, "savings", {"c", "a", "b"}),
        start(transfer, input={"tags": ["b", "c", "a"], "to": "savings", "amount": 3}),
        start(ENTRYPOINT, input=json.loads(first.run.input)),
    ):
        assert begin(same, store) == first.run.run_id


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: start(transfer, 4), "with another input: amount is 3 there, 4 here"),
        (lambda: start(transfer, 3, "checking"), 'to is missing there, "checking" here'),
        (lambda: start("elsewhere:flow", input={"amount": 3}), f"of workflow {ENTRYPOINT}, not elsewhere:flow"),
        (lambda: start(transfer, 3, origin=__file__), None),
    ],
)
def test_another_under_the_same_id_is_a_conflict_that_shows_what_differs(other: Any, said: str | None) -> None:
    store = Store(start(transfer, 3).run)
    if said is None:
        begin(other(), store)
        return
    with pytest.raises(RunConflict) as refused:
        begin(other(), store)
    assert said in str(refused.value)
    assert "run 't-1' of queue 'default' exists already" in str(refused.value)


def test_many_differences_are_counted() -> None:
    store = Store(start("a:b", input={str(n): n for n in range(10)}).run)
    with pytest.raises(RunConflict, match="and 7 more"):
        begin(start("a:b", input={str(n): n + 1 for n in range(10)}), store)


def test_two_files_are_two_projects_as_long_as_both_are_there(tmp_path: Path) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.touch()
    other.touch()
    store = Store(start(transfer, 3, origin=str(one)).run)
    with pytest.raises(RunConflict, match="use another id or another queue"):
        begin(start(transfer, 3, origin=str(other)), store)
    one.unlink()  # the project has moved
    begin(start(transfer, 3, origin=str(other)), store)


def test_stored_input_that_fits_no_more_is_another() -> None:
    stored = start(transfer, 3).run
    changed = NewRun(stored.run_id, stored.owner, stored.id, stored.entrypoint, '{"amount": "three"}')
    with pytest.raises(RunConflict, match='amount is "three" there, 3 here'):
        begin(start(transfer, 3), Store(changed))
