"""Random concurrent workflows on virtual time, killed and resumed: shared by the replay tests of all Python versions.

A program is nested JSON that one workflow interprets; its decisions (who won, what came first, what timed out) are
what it notes down. Steps take virtual time. A resumed attempt gives the outcomes that were not recorded at the very
times at which the undisturbed run had them, so its decisions must be the same to the last.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

import perdure
from perdure.attempt_results import RunEnd, columns
from perdure.claimed_attempt import ClaimedAttempt
from perdure.engine.branches.attempt import Attempt
from perdure.engine.branches.context import CURRENT
from perdure.engine.tasks.loop import RunLoop
from perdure.engine.workflow_call import execute_async
from perdure.errors import Released
from perdure.names import RunId, Token
from perdure.store.attempts.checkpoint import Answer, Checkpoint, Recorded

from .virtual_time import VirtualLoop

Node = list[Any]
RUN = RunId(UUID(int=0x1234_5678_9ABC))


@dataclass
class Play:
    """What one attempt is to do and what came of it."""

    program: Node
    threads: bool = False
    stored: dict[str, Recorded] = field(default_factory=dict)
    due: dict[str, int] = field(default_factory=dict)
    """When the undisturbed run accepted an outcome, in microseconds of the run's clock, by step key."""
    decisions: list[Any] = field(default_factory=list)
    executed: list[str] = field(default_factory=list)
    too_early: list[str] = field(default_factory=list)
    """Steps whose bodies began before the past was settled."""
    ended: str | None = None
    result: str | None = None
    error: str | None = None
    attempt: Attempt = field(init=False)


_play: Play
"""The attempt that begins now. One that has died may have threads that go on: they have its own still."""


def _own_play() -> Play:
    """That of the attempt in which the step runs that asks."""
    play: Play = CURRENT.get().branch.attempt.committer.play  # type: ignore[union-attr]
    return play


def _begin_body() -> tuple[Play, str]:
    """Note that the body of a step began, and whether that was too early. Returns its attempt's play, and its key."""
    play, key = _own_play(), perdure.step_context().step_key
    play.executed.append(key)
    scheduler = play.attempt.scheduler
    if not scheduler.settled or scheduler._timers.next_due() <= scheduler._reading / 1e6:
        play.too_early.append(key)
    return play, key


async def _take_time(delay: int) -> None:
    """Wait for `delay` milliseconds, or until the outcome's hour in the undisturbed run; for ever if it had none."""
    play, key = _begin_body()
    if not play.due:
        # No two steps and no timer fall on the same microsecond.
        await asyncio.sleep(delay / 1e3 + (hash_of(key) % 997 + 1) / 1e6)
        return None
    if key in play.due:
        # It had its outcome there before any cancellation reached its body.
        while True:
            try:
                return await _hour_of(play, key, 0)
            except asyncio.CancelledError:
                play.attempt.check()
    try:
        # Cancelled there: it waits for that.
        await _hour_of(play, key, 10**12)
    except asyncio.CancelledError:
        await _hour_of(play, f"cancelled {key}", 0)
        raise


async def _hour_of(play: Play, what: str, later: int) -> None:
    due = play.due.get(what, 0) + later
    while (left := due - play.attempt.scheduler.elapsed()) > 0:
        await asyncio.sleep(left / 1e6)


def hash_of(text: str) -> int:
    """A hash that no process changes."""
    value = 0
    for character in text:
        value = (value * 31 + ord(character)) % 1_000_003
    return value


@perdure.step
async def work(label: str, delay: int) -> str:
    await _take_time(delay)
    return label


@perdure.step
async def fail(label: str, delay: int) -> str:
    await _take_time(delay)
    raise LookupError(label)


@perdure.step
def in_thread(label: str) -> str:
    _begin_body()
    return label


class Interpreter:
    """Runs a program's nodes in workflow code, noting every decision."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.over = False

    async def run(self, node: Node, path: str) -> str:
        kind, *rest = node
        result: str = await getattr(self, "do_" + kind)(path, *rest)
        self.note(path, kind, result)
        return result

    def note(self, path: str, kind: str, what: Any) -> None:
        # What a dying attempt does until it has unwound, it does for nobody.
        if not self.over and self.play.attempt.signal is None:
            self.play.decisions.append([path, kind, what])

    async def do_step(self, path: str, delay: int) -> str:
        return await work(path, delay)

    async def do_fail(self, path: str, delay: int) -> str:
        try:
            return await fail(path, delay)
        except LookupError as error:
            return f"failed {error}"

    async def do_raise(self, path: str, delay: int) -> str:
        return await fail(path, delay)

    async def do_sleep(self, path: str, milliseconds: int) -> str:
        await asyncio.sleep(milliseconds / 1e3)
        return "slept"

    async def do_seq(self, path: str, *nodes: Node) -> str:
        return "+".join([await self.safe(node, f"{path}.{n}") for n, node in enumerate(nodes)])

    async def do_gather(self, path: str, *nodes: Node) -> str:
        results = await asyncio.gather(*[self.safe(node, f"{path}.{n}") for n, node in enumerate(nodes)])
        return "&".join(results)

    async def do_group(self, path: str, *nodes: Node) -> str:
        tasks: list[asyncio.Task[str]] = []
        failures = 0
        try:
            async with asyncio.TaskGroup() as group:
                for n, node in enumerate(nodes):
                    tasks.append(group.create_task(self.run(node, f"{path}.{n}")))
                await self.safe(["step", 7], f"{path}.body")
        except* LookupError as errors:
            failures = len(errors.exceptions)
        return f"group {failures} {_ends(tasks)}"

    async def do_wait(self, path: str, first: bool, cancel: bool, *nodes: Node) -> str:
        tasks = [asyncio.create_task(self.safe(node, f"{path}.{n}"), name=str(n)) for n, node in enumerate(nodes)]
        how = asyncio.FIRST_COMPLETED if first else asyncio.ALL_COMPLETED
        done, pending = await asyncio.wait(tasks, return_when=how)
        first_done = ",".join(task.get_name() for task in done)
        for task in pending:
            if cancel:
                task.cancel()
        if pending:
            await asyncio.wait(pending)
        return f"done {first_done} then {_ends(tasks)}"

    async def do_as_completed(self, path: str, *nodes: Node) -> str:
        order = [
            await future
            for future in asyncio.as_completed([self.safe(node, f"{path}.{n}") for n, node in enumerate(nodes)])
        ]
        return "<".join(order)

    async def do_timeout(self, path: str, milliseconds: int, node: Node) -> str:
        try:
            async with asyncio.timeout(milliseconds / 1e3):
                return await self.run(node, f"{path}.0")
        except TimeoutError:
            return "timed out"

    async def do_wait_for(self, path: str, milliseconds: int, node: Node) -> str:
        try:
            return await asyncio.wait_for(self.run(node, f"{path}.0"), milliseconds / 1e3)
        except TimeoutError:
            return "waited out"

    async def do_race(self, path: str, milliseconds: int, node: Node) -> str:
        task = asyncio.create_task(self.safe(node, f"{path}.0"))
        timer = asyncio.create_task(asyncio.sleep(milliseconds / 1e3))
        done, _ = await asyncio.wait({task, timer}, return_when=asyncio.FIRST_COMPLETED)
        won = "task" if task in done else "timer"
        timer.cancel()
        await asyncio.wait({task, timer})
        return f"{won} {_ends([task])}"

    async def do_queue(self, path: str, consumers: int, *nodes: Node) -> str:
        queue: asyncio.Queue[str] = asyncio.Queue()
        taken: list[str] = []

        async def produce(n: int, node: Node) -> None:
            await queue.put(await self.safe(node, f"{path}.{n}"))

        async def consume(name: str) -> None:
            while True:
                item = await queue.get()
                taken.append(f"{name}:{item}")
                await work(f"{path}.{name}", 3)
                queue.task_done()

        eaters = [asyncio.create_task(consume(f"c{c}")) for c in range(consumers)]
        await asyncio.gather(*[produce(n, node) for n, node in enumerate(nodes)])
        await queue.join()
        for eater in eaters:
            eater.cancel()
        await asyncio.gather(*eaters, return_exceptions=True)
        return "|".join(taken)

    async def do_threads(self, path: str, *counts: int) -> str:
        def branch(n: int, count: int) -> str:
            return ".".join(in_thread(f"{path}.{n}.{i}") for i in range(count))

        tasks = [
            asyncio.create_task(perdure.to_thread(branch, n, count), name=str(n)) for n, count in enumerate(counts)
        ]
        order = []
        pending = set(tasks)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            order.append(",".join(task.get_name() for task in done))
            self.note(path, "threads so far", list(order))
        return "<".join(order) + _ends(tasks)

    async def safe(self, node: Node, path: str) -> str:
        try:
            return await self.run(node, path)
        except (LookupError, ExceptionGroup) as error:
            return f"caught {type(error).__name__}"


def _ends(tasks: list[asyncio.Task[str]]) -> str:
    return "/".join("cancelled" if t.cancelled() else "raised" if t.exception() else str(t.result()) for t in tasks)


@perdure.workflow
async def interpret() -> str:
    interpreter = Interpreter(_play)
    result = await interpreter.safe(interpreter.play.program, "p")
    # Tasks that are left now end somehow: nobody is there to learn of it.
    interpreter.over = True
    return result


@dataclass
class StoreClock:
    """What a store answers to each begin, whatever its own clock does between two of them; in microseconds."""

    clock: int = 0
    at: int = 0
    now: int = 0

    def begin(self, step: int, stored: dict[str, Recorded]) -> int:
        """The run's clock after the store's own has gone by `step`, or back."""
        self.now += step
        newest = max((one.clock for one in stored.values()), default=0)
        self.clock, self.at = max(self.clock + max(0, self.now - self.at), newest), self.now
        return self.clock


class _Store:
    """Checkpoints in memory; the attempt dies once `limit` of them were stored."""

    def __init__(self, play: Play, limit: int | None) -> None:
        self.play = play
        self.limit = limit
        self.written = 0
        self.lock = threading.Lock()
        self.dead = False
        self.loop: RunLoop

    def commit(self, checkpoint: Checkpoint, given_up: Any = None) -> Answer:
        with self.lock:
            if not self.limit and self.limit is not None:
                self.dead = True
            if self.dead:
                self.play.attempt.interrupt(Released("killed"))
                return Answer.SUPERSEDED
            assert checkpoint.key not in self.play.stored
            self.play.stored[checkpoint.key] = Recorded(
                checkpoint.key,
                checkpoint.ordinal,
                1,
                checkpoint.tries,
                checkpoint.clock,
                checkpoint.result,
                checkpoint.error,
                kind=checkpoint.kind,
                began=self.play.attempt.claimed.clock,
            )
            self.written += 1
            self.dead = self.written == self.limit
        if self.dead:
            self.play.attempt.interrupt(Released("killed"))
        return Answer.DONE

    def submit(self, checkpoint: Checkpoint, callback: Any) -> None:
        answer = self.commit(checkpoint)
        # An answer takes a moment, in which more happens.
        self.loop.real_later(0.0002, lambda: callback(answer))


def play(
    program: Node,
    stored: dict[str, Recorded],
    due: dict[str, int],
    limit: int | None = None,
    real: bool = False,
    reading: int = 0,
) -> Play:
    """Run one attempt of a program on what is stored so far, to its end or until `limit` more checkpoints are.

    `reading`: of the run's clock at its begin, in microseconds, if that is later than what is stored.
    """
    global _play
    _play = mine = Play(program, stored=dict(stored), due=due)
    loop = RunLoop() if real else VirtualLoop()
    store = _Store(mine, limit)
    token, entrypoint = Token(UUID(int=1)), interpret.definition.entrypoint  # type: ignore[attr-defined]
    claimed = ClaimedAttempt(
        run_id=RUN, id="replay", token=token, number=1, entrypoint=entrypoint, input="{}", clock=reading
    )
    committer: Any = store
    clock: Any = {"clock": loop.nanoseconds} if isinstance(loop, VirtualLoop) else {}
    copies = [replace(one, consumed=False) for one in stored.values()]
    mine.attempt = Attempt(claimed, copies, committer, loop=loop, loop_committer=committer, **clock)
    store.loop = loop
    try:
        ending = loop.run_until_complete(execute_async(interpret.definition, mine.attempt))  # type: ignore[attr-defined]
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    if not store.dead:
        assert isinstance(ending, RunEnd), ending
        mine.ended, mine.result, mine.error = columns(ending)
    return mine


def record(program: Node) -> Play:
    """The undisturbed run."""
    return play(program, {}, {})


def prefix(full: Play, count: int) -> dict[str, Recorded]:
    """The first `count` outcomes that a run stored."""
    kept = sorted(full.stored.values(), key=lambda one: one.ordinal)[:count]
    return {one.key: one for one in kept}


def check(full: Play) -> None:
    """Kill after each checkpoint in turn and resume: the same decisions and the same result."""
    assert full.ended == "succeeded", full.error
    due = {f"cancelled {one.key}" if one.cancelled else one.key: one.clock for one in full.stored.values()} or {"": 0}
    for count in range(len(full.stored) + 1):
        again = play(full.program, prefix(full, count), due)
        assert again.error is None, (count, again.error)
        assert not (set(again.executed) & set(prefix(full, count))), "a stored step ran again"
        assert not again.too_early
        if any(not one.tries for one in again.stored.values()):
            # It was cancelled by what was recorded, before it could begin again. Its own outcome, which had come about
            # in the undisturbed run before that was delivered, died with the process.
            continue
        assert again.decisions == full.decisions, (count, *_first_difference(again.decisions, full.decisions))
        assert again.result == full.result


def _first_difference(one: list[Any], other: list[Any]) -> tuple[Any, Any]:
    for a, b in zip([*one, None], [*other, None], strict=False):
        if a != b:
            return a, b
    return None, None


def check_chain(program: Node, *, real: bool = False) -> None:
    """Kill each attempt after one more checkpoint: what it decided before it died, its successor decides again."""
    check_chain_over_time(program, [(0, 1)], real=real)


def check_chain_over_time(program: Node, deaths: Sequence[tuple[int, int]], *, real: bool = False) -> None:
    """As `check_chain`, and between two attempts time passes in which nobody runs.

    Each attempt begins after the store's own clock has gone by so many milliseconds, or back, and dies once it has
    stored so many checkpoints, or in place of the first. The last death of the list is repeated.
    """
    stored: dict[str, Recorded] = {}
    before: list[Any] = []
    store = StoreClock()
    for number in range(200):
        step, limit = deaths[min(number, len(deaths) - 1)]
        reading = store.begin(step * 1000 if number else 0, stored)
        attempt = play(program, stored, {}, limit=limit, real=real, reading=reading)
        # It may have died before it came as far as the last one did: a new step can be stored early.
        common = min(len(before), len(attempt.decisions))
        assert attempt.decisions[:common] == before[:common], _first_difference(attempt.decisions, before)
        assert not (set(attempt.executed) & set(stored)), "a stored step ran again"
        assert not attempt.too_early
        if attempt.ended is not None:
            assert attempt.ended == "succeeded", attempt.error
            break
        if attempt.stored.keys() != stored.keys():
            # What an attempt decided that stored nothing, its successor may decide otherwise, for it is later.
            before = max(before, attempt.decisions, key=len)
        stored = attempt.stored
    else:
        raise AssertionError("the program does not end")
    if not real:
        # Replayed a day later, it decides the same from beginning to end.
        again = play(program, attempt.stored, {}, reading=store.begin(86_400_000_000, attempt.stored))
        assert (again.decisions, again.result) == (attempt.decisions, attempt.result)


def dump(full: Play) -> dict[str, Any]:
    """A run for another Python version to resume."""
    rows = [[r.key, r.ordinal, r.tries, r.clock, r.result, r.error] for r in full.stored.values()]
    return {"program": full.program, "rows": rows, "decisions": full.decisions, "result": full.result}


def restore(document: dict[str, Any]) -> Play:
    """What `dump` wrote."""
    rows = {
        key: Recorded(key, ordinal, 1, tries, clock, result, error)
        for key, ordinal, tries, clock, result, error in document["rows"]
    }
    full = Play(document["program"], stored=rows, decisions=document["decisions"], result=document["result"])
    full.ended = "succeeded"
    return full


def main() -> None:
    """`record`: programs from standard input, runs to standard output; `check`: such runs from standard input."""
    for line in sys.stdin:
        if sys.argv[1] == "record":
            print(json.dumps(dump(record(json.loads(line)))))
        else:
            full = restore(json.loads(line))
            check(full)
            print("same")


if __name__ == "__main__":
    main()
