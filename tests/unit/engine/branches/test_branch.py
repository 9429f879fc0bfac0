"""Keys of steps depend on what a workflow does, and on nothing else."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, cast

import pytest

import perdure
from perdure.engine.branches.branch import Branch
from perdure.errors import StepCallError
from perdure.testing import DurableRun


def new_branch(path: str = "") -> Branch:
    return Branch(cast("Any", None), path)


def test_a_step_has_its_name_and_an_occurrence_within_its_branch() -> None:
    main = new_branch()
    child = main.child()
    assert [main.next_key("a"), main.next_key("b"), main.next_key("a")] == ["a", "b", "a#2"]
    assert [child.next_key("a"), child.next_key("a")] == ["1/a", "1/a#2"]


def test_branches_are_numbered_where_they_are_created() -> None:
    main = new_branch()
    first, second = main.child(), main.child()
    inner = [first.child().path, second.child().path, first.child().path]
    assert (first.path, second.path, inner) == ("1", "2", ["1.1", "2.1", "1.2"])
    assert second.child().next_key("a") == "2.2/a"


def test_they_sort_as_they_were_created_each_before_its_children() -> None:
    paths = ["10", "2", "", "2.10", "2.9", "1.1.1"]
    assert sorted(paths, key=lambda path: new_branch(path).order) == ["", "1.1.1", "2", "2.9", "2.10", "10"]


def test_it_belongs_to_one_thread_and_one_loop() -> None:
    branch = new_branch()
    branch.settle_here()
    assert branch.is_here()
    elsewhere: list[bool] = []
    thread = threading.Thread(target=lambda: elsewhere.append(branch.is_here()))
    thread.start()
    thread.join()

    async def in_a_loop() -> bool:
        return branch.is_here()

    assert elsewhere == [False]
    assert not asyncio.run(in_a_loop())


@perdure.step
def number() -> int:
    return 1


def test_a_step_in_a_callback_of_a_future_is_refused() -> None:
    """It runs in whatever thread tells the end, under the scheduler's lock."""
    said: list[str] = []

    @perdure.workflow
    def calls_back() -> int:
        def callback(_: object) -> None:
            try:
                number()
            except StepCallError as error:
                said.append(str(error))

        with perdure.ThreadPoolExecutor(1) as pool:
            future = pool.submit(number)
            future.add_done_callback(callback)
        return future.result()

    assert DurableRun(calls_back).result() == 1
    assert len(said) == 1


@pytest.mark.parametrize("path", ["", "3", "3.1"])
def test_the_key_names_the_branch(path: str) -> None:
    assert new_branch(path).next_key("pay") == (f"{path}/pay" if path else "pay")
