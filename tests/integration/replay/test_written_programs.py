"""Random programs in ordinary Python end as their plain call does, wherever and however often they are killed.

What fails is told as its smallest program. `python -m tests.integration.replay.explore` checks more of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.scale import SCALE

from . import grammar, oracle
from .grammar import Node, Program
from .productions import ALL
from .zygote import Zygote

WITHOUT = frozenset(one.name for one in ALL if one.alone)
NAMES = [one.name for one in ALL]
CHUNKS = 8


@pytest.fixture(scope="module")
def zygotes() -> Iterator[list[Zygote]]:
    """Processes in which programs run, each with another order in its sets of strings."""
    both = [Zygote(seed) for seed in (1, 2)]
    yield both
    for one in both:
        one.close()


def _alone(name: str, seed: int) -> Program:
    """A production with a step in each of its blocks."""
    production = next(one for one in ALL if one.name == name)
    inside = production.inside or production.where
    filling = next(one for one in ALL if one.name == ("async step" if inside == "async" else "step"))
    return Program(production.where, [Node(production, seed, [[Node(filling, 0)] for _ in range(production.blocks)])])


def _tell(zygote: Zygote, program: Program, found: oracle.Difference) -> None:
    program, found = oracle.smallest(zygote, program, found)
    pytest.fail(f"{found}\n\n{program.source().removeprefix(grammar.PRELUDE)}", pytrace=False)


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("name", NAMES)
def test_each_form_of_code_survives(zygotes: list[Zygote], name: str) -> None:
    for seed in range(SCALE):
        program = _alone(name, seed)
        if found := oracle.check_twice(zygotes[0], program, most=10):
            _tell(zygotes[0], program, found)


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_programs_end_as_their_plain_calls(zygotes: list[Zygote], chunk: int) -> None:
    for seed in range(chunk, 5 * CHUNKS * SCALE, CHUNKS):
        program = grammar.write(seed, ALL, without=WITHOUT)
        if found := oracle.check_twice(zygotes[0], program, most=8):
            _tell(zygotes[0], program, found)


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_programs_replay_as_they_ended_whatever_time_passed(zygotes: list[Zygote], chunk: int) -> None:
    for seed in range(20_000 + chunk, 20_000 + 3 * CHUNKS * SCALE, CHUNKS):
        program = grammar.write(seed, ALL, without=WITHOUT)
        found = oracle.check_over_time(zygotes[0], program, seed)
        assert found is None, f"{found}\n\n{program.source().removeprefix(grammar.PRELUDE)}"


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_programs_survive_sigkill_and_other_hash_seeds(zygotes: list[Zygote], chunk: int) -> None:
    for seed in range(10_000 + chunk, 10_000 + 3 * CHUNKS * SCALE, CHUNKS):
        program = grammar.write(seed, ALL, without=WITHOUT)
        found = oracle.check_for_real(zygotes, program, seed)
        assert found is None, f"{found}\n\n{program.source().removeprefix(grammar.PRELUDE)}"
