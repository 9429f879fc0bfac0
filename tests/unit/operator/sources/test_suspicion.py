"""Most attempts fall silent at once: who is left alone, whose turn it is, and when that is over."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from perdure.process.liveness import CounterFailureDetector
from perdure_operator.sources.suspicion import LONGEST, TURN, Suspicion, suspicious, uid_of

LEASE = 6.0
READ = LEASE / 4
BEAT = LEASE / 4


@dataclass
class Cluster:
    """Attempts on nodes, whose hearts beat as they are told, and one operator that reads their counters."""

    nodes: dict[UUID, str]
    now: float = 0.0
    counters: dict[str, int] = field(default_factory=dict)
    dead: set[UUID] = field(default_factory=set)
    cut_off: bool = False
    ended: list[tuple[float, UUID]] = field(default_factory=list)
    starting: dict[UUID, int] = field(default_factory=dict)
    opened: int = 0

    def __post_init__(self) -> None:
        self.suspicion = Suspicion(LEASE, lambda uid: f"team-{uid.int % 2}", self.nodes.get)
        self.observer = CounterFailureDetector[str](LEASE, LEASE / 2)
        self.silent: set[str] = set()
        for uid in self.nodes:
            self.begin(uid, 1)

    def begin(self, uid: UUID, claim: int) -> None:
        self.counters[f"{uid} {claim}"] = 0
        self.starting.pop(uid, None)

    def lose(self, node: str) -> None:
        self.dead |= {uid for uid, where in self.nodes.items() if where == node}

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until:
            self.now += READ
            for number, held in enumerate(self.counters):
                if uid_of(held) not in self.dead and not self.cut_off and (self.now + number * 0.7) % BEAT < READ:
                    self.counters[held] += 1
            self.read()
            self.take_over()

    def read(self) -> None:
        still = self.observer.read(self.now, self.now, self.counters)
        if self.observer.anew:
            self.suspicion.failed()
        opened = self.suspicion.read(self.now, self.counters, self.observer.quiet(LEASE / 2), still)
        self.silent = set() if opened else set(still)
        if opened:
            self.opened += 1
            self.observer.failed()

    def take_over(self) -> None:
        """End whoever is taken for dead, and claim his run for another attempt."""
        for held in sorted(self.silent):
            uid = uid_of(held)
            if not self.suspicion.left_alone(uid):
                self.ended.append((self.now, uid))
                del self.counters[held]
                self.starting[uid] = int(held.split(" ")[1]) + 1
        self.silent &= self.counters.keys()


def cluster(*sizes: int) -> Cluster:
    """One node for each number of attempts."""
    places = [f"node-{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return Cluster({UUID(int=number + 1): place for number, place in enumerate(places)})


@given(st.lists(st.integers(1, 40), min_size=2, max_size=6), st.data())
@settings(max_examples=60, deadline=None)
def test_one_lost_node_among_others_is_taken_over_after_a_lease_however_many_attempts_it_had(sizes, data) -> None:
    world = cluster(*sizes)
    world.run(2 * LEASE)
    lost = data.draw(st.integers(0, len(sizes) - 1))
    since = world.now
    world.lose(f"node-{lost}")
    world.run(2 * LEASE)
    assert len(world.ended) == sizes[lost]
    assert all(at - since <= LEASE + BEAT + 2 * READ for at, _ in world.ended)
    assert world.suspicion.problem is None


@given(st.lists(st.integers(1, 20), min_size=2, max_size=6).filter(lambda sizes: sum(sizes) >= 3))
@settings(max_examples=40, deadline=None)
def test_a_closed_way_costs_one_attempt_at_a_time_and_none_once_hearts_beat_again(sizes) -> None:
    world = cluster(*sizes)
    world.run(2 * LEASE)
    world.cut_off = True
    world.run(8 * LEASE)
    assert world.suspicion.problem is not None
    assert 1 <= len(world.ended) <= 1 + 8 // TURN
    world.cut_off = False
    lost = len(world.ended)
    world.run(4 * LEASE)
    assert world.suspicion.problem is None
    assert len(world.ended) == lost, "they were alive all the time"


@given(st.integers(3, 60), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_it_is_over_with_the_first_begin_and_the_dead_are_taken_over_a_lease_later(size: int, turns: int) -> None:
    world = cluster(size - 1, 1)
    world.run(2 * LEASE)
    world.lose("node-0")
    world.lose("node-1")
    world.run(2 * LEASE + turns * TURN * LEASE)
    assert world.suspicion.problem is not None
    probe = next(iter(world.starting))
    world.dead.discard(probe)
    world.begin(probe, world.starting[probe])
    world.run(READ)
    assert world.suspicion.problem is None
    assert world.opened == 1
    world.run(2 * LEASE)
    assert {uid for _, uid in world.ended} == set(world.nodes)
    assert world.suspicion.problem is None, "who was silent then is no reason to suspect anything again"


@given(st.integers(3, 60), st.lists(st.sampled_from([LEASE, 3 * LEASE, 8 * LEASE]), max_size=8))
@settings(max_examples=25, deadline=None)
def test_it_has_an_end_without_any_begin_though_reads_fail_in_between(size: int, failures: list[float]) -> None:
    world = cluster(size)
    world.run(2 * LEASE)
    world.cut_off = True
    since = world.now
    for after in failures:
        world.run(after)
        world.suspicion.failed()
        world.observer.failed()
        world.silent = set()
    world.run((LONGEST + 6) * LEASE)
    assert {uid for _, uid in world.ended} == set(world.nodes)
    assert max(at for at, _ in world.ended) - since <= (LONGEST + 6 + sum(failures) / LEASE) * LEASE


def test_attempts_that_outlived_one_outage_count_in_the_next() -> None:
    world = cluster(5, 5)
    for _ in range(3):
        world.run(3 * LEASE)
        world.cut_off = True
        world.run(2 * LEASE)
        assert world.suspicion.problem is not None
        world.cut_off = False
    world.run(3 * LEASE)
    assert len(world.ended) == 3


def test_namespaces_have_turns_in_equal_parts_and_so_have_runs_that_nobody_holds() -> None:
    world = cluster(3, 3)
    world.run(2 * LEASE)
    world.cut_off = True
    world.run(1.75 * LEASE)
    new = UUID(int=999)
    world.suspicion.wait(new)
    turns = [world.suspicion.turn]
    while len(turns) < 6:
        world.run(READ)
        if world.suspicion.turn != turns[-1]:
            turns.append(world.suspicion.turn)
    assert new in turns
    assert [uid.int % 2 for uid in turns if uid is not None] in ([0, 1] * 3, [1, 0] * 3)
    assert world.suspicion.left_alone(new) == (turns[-1] != new)


def test_what_is_said_names_numbers_and_what_is_done() -> None:
    world = cluster(2, 2)
    world.run(2 * LEASE)
    world.cut_off = True
    world.run(2 * LEASE)
    said = world.suspicion.problem or ""
    assert said.startswith("4 of 4 attempts fell silent at once")
    assert "one at a time until one has begun" in said


def test_the_rule() -> None:
    assert not suspicious(["a", "b"], []), "two are too few"
    assert suspicious(["a", "b", "c"], [])
    assert not suspicious(["a", "b", "c"], ["d", "e", "f"]), "half are not most"
    assert suspicious(["a", "b", "c", "d"], ["e", "f", "g"])
    assert not suspicious(["a"] * 9, ["b"]), "the node's fault"
    assert suspicious(["a"] * 9, ["a"]), "the node lives"
    assert suspicious(["a"] * 9, []), "there is no other node to compare with"
    assert suspicious([None] * 9, ["b"]), "nobody knows where they are"
