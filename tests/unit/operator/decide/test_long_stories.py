"""Long random stories: what `test_machine` does in short ones, with faults as likely as they must be to come thick."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from tests.harness.scale import SCALE
from tests.unit.operator.decide.test_machine import POD_FAULTS, Stories
from tests.unit.operator.decide.world import World

WEIGHTS = {
    "go_on": 6,
    "work": 6,
    "reconcile": 4,
    "sleep": 3,
    "think": 4,
    "act": 4,
    "crash_of_an_operator": 1,
    "pod_fault": 6,
    "refusing": 0.4,
    "shortage": 0.6,
    "suspend": 0.6,
    "limits": 0.4,
    "end": 0.1,
    "restart": 0.5,
    "back_up": 0.5,
    "empty": 0.15,
    "restore": 0.4,
}
"""How often what is done, by the names of the machine's rules."""


def live(seed: int) -> World:
    """The story of a seed, up to where nothing more happens."""
    chance = random.Random(seed)
    story = Stories()
    deadline = chance.choice([None, None, None, 300])
    cleanup = chance.choice([None, None, 40.0, 300.0])
    story.begin(chance.choice([0, 3, 20, 100, 200]), chance.randint(0, 6), deadline, cleanup, chance.randint(0, 6))
    moves = {
        "go_on": lambda: story.go_on(chance.randint(0, 1), chance.randint(1, 3)),
        "work": lambda: story.work(chance.randint(0, 3), chance.randint(0, 3)),
        "reconcile": lambda: story.reconcile(chance.randint(0, 1)),
        "sleep": lambda: story.sleep(chance.choice([0.5, 3.0, 7.0, 35.0, 700.0])),
        "think": lambda: story.think(chance.randint(0, 1), chance.random() < 0.5, chance.randint(0, 4)),
        "act": lambda: story.act(chance.randint(0, 1), chance.randint(1, 3)),
        "crash_of_an_operator": lambda: story.crash_of_an_operator(chance.randint(0, 1), chance.random() < 0.5),
        "pod_fault": lambda: story.pod_fault(chance.randint(0, 3), chance.choice(POD_FAULTS)),
        "refusing": lambda: story.refusing(chance.choice([None, None, "Invalid value", "exceeded quota"])),
        "shortage": lambda: story.shortage(
            chance.choice([None, None, "ImagePullBackOff"]), chance.random() < 0.7, chance.choice([None, None, "full"])
        ),
        "suspend": lambda: story.suspend(chance.random() < 0.3),
        "limits": lambda: story.limits(chance.randint(0, 6), chance.choice([None, None, 300])),
        "end": lambda: story.end(chance.random() < 0.5) if story.world.now > 20 else None,
        "restart": story.restart,
        "back_up": story.back_up,
        "empty": lambda: story.empty(chance.random() < 0.5),
        "restore": story.restore,
    }
    assert moves.keys() == WEIGHTS.keys()
    for move in chance.choices(list(WEIGHTS), list(WEIGHTS.values()), k=chance.randint(20, 150)):
        moves[move]()
        story.nothing_is_violated()
        story.deciding_comes_to_rest()
    story.teardown()
    return story.world


@pytest.mark.parametrize("batch", range(20))
def test_stories(batch: int):
    size = 40 * SCALE
    for seed in range(batch * size, (batch + 1) * size):
        try:
            live(seed)
        except AssertionError as error:
            error.add_note(f"the story of seed {seed}")
            raise


def test_the_stories_are_worth_telling():
    """They reach what they are there for: ends of every kind, and many attempts."""
    worlds = [live(seed) for seed in range(150)]
    ends = Counter(world.reason for world in worlds)
    assert {"Succeeded", "BackoffLimitExceeded", "Cancelled", "CheckpointsMissing"} <= ends.keys(), ends
    assert sum(world.claims > 2 for world in worlds) > 30
    told = Counter(event for world in worlds for event in set(world.events))
    assert {"Started", "Crashed", "Disrupted", "Resumed", "Succeeded", "Suspended", "Resuming"} <= told.keys(), told
