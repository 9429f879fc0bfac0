"""Runs whose code has changed go on where it changed later, and else end with an error: never with a wrong result."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.scale import SCALE

from . import grammar, oracle
from .productions import ALL
from .test_written_programs import CHUNKS, WITHOUT
from .zygote import Zygote


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    one = Zygote()
    yield one
    one.close()


@pytest.mark.timeout(120 * SCALE)
@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_an_inserted_call_gives_an_error_or_the_new_result(zygote: Zygote, chunk: int) -> None:
    for seed in range(20_000 + chunk, 20_000 + 3 * CHUNKS * SCALE, CHUNKS):
        program = grammar.write(seed, ALL, without=WITHOUT)
        found = oracle.check_changed(zygote, program, seed)
        assert found is None, f"{found}\n\n{program.source().removeprefix(grammar.PRELUDE)}"
