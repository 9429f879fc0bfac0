"""Processes of one run have one hash seed, so that a `set` of strings has one order in all of its attempts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.cli.conftest import Cli
from tests.integration.cli.manifests import Manifests

FLOW = """
import os, signal, sys
from perdure import step, workflow

@step
def price(item: str) -> str:
    return f"price of {item}"

@step
def die_once() -> None:
    if not os.path.exists("died"):
        open("died", "w").close()
        os.kill(os.getpid(), signal.SIGKILL)

@workflow
def flow() -> dict[str, str]:
    with open("seeds", "a") as file:
        print(os.environ.get("PYTHONHASHSEED"), file=file)
    found = {item: price(item) for item in {f"item {n}" for n in range(30)}}
    die_once()
    return found
"""


def of_a_file(cli: Cli, seed: str | None = None) -> Any:
    return json.loads(cli("run", "setflow.py:flow", "--id", "x", PYTHONHASHSEED=seed).output)


def of_a_manifest(cli: Cli, seed: str | None = None) -> Any:
    file = Manifests(cli).write("setflow:flow")
    return json.loads(cli("run", file, PYTHONHASHSEED=seed).output)


def seeds(cli: Cli) -> list[str]:
    return (cli.folder / "seeds").read_text().splitlines()


@pytest.fixture
def flow(cli: Cli) -> Cli:
    (cli.folder / "setflow.py").write_text(FLOW)
    return cli


@pytest.mark.parametrize("run", [of_a_file, of_a_manifest])
def test_a_loop_over_a_set_goes_on_after_a_crash(flow: Cli, run: Callable[[Cli], Any]) -> None:
    result = run(flow)
    assert result == {f"item {n}": f"price of item {n}" for n in range(30)}
    [first, second] = seeds(flow)
    assert first == second
    assert 0 <= int(first) < 2**32


def test_a_seed_of_the_users_own_counts(flow: Cli) -> None:
    of_a_file(flow, "17")
    assert seeds(flow) == ["17", "17"]
