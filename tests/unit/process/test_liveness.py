"""Death is counted: a whole lease without a change, with successful reads throughout."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from perdure.process.liveness import ProcessFailureDetector
from perdure.store.workers.processes import Watched

LEASE, PATIENCE = 6.0, 3.0
OTHER = UUID(int=1)


def watched(counter: int | None, process: UUID = OTHER) -> Watched:
    return Watched(process, "elsewhere", None if counter is None else 7, 70, counter)


def observer() -> ProcessFailureDetector:
    return ProcessFailureDetector(LEASE, PATIENCE, lambda *_: False)


def test_dead_after_a_lease_without_change() -> None:
    one = observer()
    seen = [bool(one.read(t, t, [watched(5)])) for t in range(10)]
    assert seen.index(True) == LEASE


def test_alive_while_its_counter_changes() -> None:
    one = observer()
    assert not any(one.read(t, t, [watched(t // 5)]) for t in range(100))


def test_failed_read_starts_anew() -> None:
    one = observer()
    for t in range(6):
        assert not one.read(t, t, [watched(5)])
    one.failed()
    assert not one.read(6, 6, [watched(5)])
    assert one.next_verdict() == 12


def test_pause_of_the_observer_starts_anew() -> None:
    one = observer()
    one.read(0, 0, [watched(5)])
    assert not one.read(60, 60, [watched(5)])


def test_answer_that_took_long_starts_anew() -> None:
    one = observer()
    one.read(0, 0, [watched(5)])
    assert not one.read(1, 60, [watched(5)])
    assert not one.read(61, 61, [watched(5)])


def test_process_without_a_row_is_watched_like_others() -> None:
    one = observer()
    assert [bool(one.read(t, t, [watched(None)])) for t in range(8)].index(True) == LEASE


def test_process_of_this_host_that_is_gone_is_dead_at_once() -> None:
    one = ProcessFailureDetector(LEASE, PATIENCE, lambda host, pid, started: (host, pid, started) == ("here", 7, 70))
    here, there = Watched(OTHER, "here", 7, 70, 5), Watched(uuid4(), "there", 7, 70, 5)
    [death] = one.read(0, 0, [here, there])
    assert (death.process, death.counter, death.ending) == (OTHER, 5, "crashed")


@dataclass(frozen=True)
class Read:
    """A read `pause` seconds after the last one, answered after `took`; fails if `ok` is false."""

    pause: float
    took: float
    ok: bool
    beaten: bool


reads = st.lists(
    st.builds(Read, pause=st.floats(0.1, 5.0), took=st.floats(0, 4.0), ok=st.booleans(), beaten=st.booleans()),
    max_size=60,
)


@given(reads)
def test_no_verdict_without_a_whole_lease_of_good_reads(history: list[Read]) -> None:
    one = observer()
    now, counter = 100.0, 0
    unbroken: float | None = None  # since when this very counter was seen in good reads, close enough to each other
    last = 0.0
    for read in history:
        now += read.pause
        counter += read.beaten
        asked, now = now, now + read.took
        if not read.ok:
            one.failed()
            unbroken = None
            continue
        if unbroken is None or read.beaten or now - last > PATIENCE:
            unbroken = now
        last = asked
        deaths = one.read(asked, now, [watched(counter)])
        assert bool(deaths) == (asked - unbroken >= LEASE)


@given(st.lists(st.floats(0.05, LEASE / 6), min_size=40, max_size=80))
def test_what_stays_dead_is_found_within_a_lease_and_two_polls(pauses: list[float]) -> None:
    one = observer()
    now = died = 0.0
    for pause in pauses:
        now += pause
        if one.read(now, now, [watched(1)]):
            assert now - died <= LEASE + 2 * LEASE / 6
            return
    assert now - died < LEASE + 2 * LEASE / 6
