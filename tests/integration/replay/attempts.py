"""Attempts of written programs in this process, killed in memory or for real; on virtual time if without threads."""

from __future__ import annotations

import asyncio
import base64
import inspect
import os
import pickle
import random
import signal
import sys
import types
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from perdure import testing
from perdure.engine.branches.attempt import Attempt
from perdure.engine.tasks.loop import RunLoop
from perdure.names import RunId

from .virtual_time import PlainLoop, VirtualLoop

Say = Callable[[dict[str, Any]], None]

STARTED = datetime(2026, 1, 1, tzinfo=UTC)
"""When each run began that goes on in other processes: `perdure.now()` counts from it."""


def _attempt(*args: Any, loop: Any = None, **options: Any) -> Attempt:
    if isinstance(loop, VirtualLoop):
        options["clock"] = loop.nanoseconds
    return Attempt(*args, loop=loop, **options)


def _spend_virtually(module: types.ModuleType) -> None:
    def spend(units: float) -> None:
        loop: Any = asyncio.get_running_loop()
        loop.virtual.now += round(units * module.UNIT * 1e6)

    module.__dict__["spend"] = spend


def load(source: str, *, virtual: bool, unit: float | None = None) -> types.ModuleType:
    """A program as a module of its own, by whose name its classes are found."""
    module = types.ModuleType("program")
    sys.modules["program"] = module
    exec(compile(source, "program.py", "exec"), module.__dict__)
    if unit is not None:
        module.__dict__["UNIT"] = unit
    if virtual:
        _spend_virtually(module)
    testing.__dict__["RunLoop"] = VirtualLoop if virtual else RunLoop
    testing.__dict__["Attempt"] = _attempt
    return module


def describe(call: Callable[[], object]) -> list[object]:
    """What a call returns or raises, as JSON can tell it."""
    try:
        return ["returned", call()]
    except BaseException as error:
        return ["raised", tell(error)]


def tell(error: BaseException | None) -> object:
    """An exception with its causes and members."""
    if error is None:
        return None
    # Which of a live and a revived exception has a traceback is none of a program's business.
    notes = [note for note in getattr(error, "__notes__", []) if not note.startswith("recorded traceback")]
    cause = error.__cause__ if error.__suppress_context__ else None
    members = [tell(one) for one in getattr(error, "exceptions", ())]
    return [type(error).__name__, str(error), notes, tell(cause), members]


def plain(module: types.ModuleType, *, virtual: bool) -> list[object]:
    """Call a program's `main` as if there were no Perdure."""
    if not inspect.iscoroutinefunction(module.main):
        return describe(module.main)
    with asyncio.Runner(loop_factory=PlainLoop if virtual else None) as runner:
        return describe(lambda: runner.run(module.main()))


def in_memory(request: dict[str, Any], say: Say) -> None:
    """The plain call, the undisturbed run, and a run that dies at each place, alone and in a row."""
    source, virtual, unit = request["source"], request["virtual"], request["unit"]
    module = load(source, virtual=virtual, unit=unit)
    say({"begins": "plain"})
    say({"place": "plain", "ended": plain(module, virtual=virtual), "effects": list(module.EFFECTS)})
    module = load(source, virtual=virtual, unit=unit)
    run = testing.DurableRun(module.main)
    say({"begins": "undisturbed"})
    run._attempt(None, None)
    keys = run.checkpoints
    say({"place": "undisturbed", **_report(run, module)})
    places: list[list[tuple[int | None, str | None]]] = [[(n, None)] for n in range(1, len(keys) + 1)]
    places += [[(None, key)] for key in keys]
    places += [[(1, None)] * (len(keys) + 1), [(2, None)] * (len(keys) // 2 + 1)]
    places += [[(n, None), (None, key)] for n, key in enumerate(keys[1:], 1)]
    for place in places[:: max(1, len(places) // request["most"])] if request["most"] else ():
        say({"begins": str(place)})
        module = load(source, virtual=virtual, unit=unit)
        run = testing.DurableRun(module.main)
        for kill in place:
            if not run.ended:
                run._attempt(*kill)
        changed = None if run.ended else request["changed"]
        if changed is not None:
            effects = module.EFFECTS
            module = load(changed, virtual=virtual, unit=unit)
            module.EFFECTS[:] = effects
            run._definition = module.main.definition
        say({"place": str(place), "changed": changed is not None, **_report(run, module)})


def _report(run: testing.DurableRun, module: types.ModuleType) -> dict[str, Any]:
    while not run.ended:
        run._attempt(None, None)
    return {
        "ended": describe(run.result),
        "effects": list(module.EFFECTS),
        "stored": [one.stored for one in run.attempts],
    }


def over_time(request: dict[str, Any], say: Say) -> None:
    """A run that dies and is resumed later, again and again, and what it gives when it is replayed after its end."""
    chance = random.Random(request["seed"])
    for number in range(request["most"]):
        module = load(request["source"], virtual=request["virtual"], unit=request["unit"])
        run = testing.DurableRun(module.main)
        deaths: list[object] = []
        say({"begins": str(number)})
        while not run.ended and len(deaths) < 12:
            kill, units = chance.choice([1, 1, 1, 2, 3]), chance.choice([0, 0.5, 1.5, 4, 10, 1000])
            deaths.append((kill, units))
            run._attempt(kill, None)
            run.pass_time(units * module.UNIT)
        report = _report(run, module)
        say({"place": str(deaths), "replayed": describe(partial(_replayed_later, run)), **report})


def _replayed_later(run: testing.DurableRun) -> object:
    run.pass_time(86_400)
    _, end = run._execute(run._definition, dict(run._stored), None, None)
    assert end is not None
    return testing._value(run._definition, end)


def for_real(request: dict[str, Any], say: Say) -> None:
    """One attempt over what is stored, which SIGKILL ends at its place; each checkpoint is told of as it is stored."""
    module = load(request["source"], virtual=request["virtual"], unit=request["unit"])
    run = testing.DurableRun(module.main)
    number = request["attempt"]
    run.attempts = [testing.AttemptReport(n) for n in range(1, number)]
    rows = [pickle.loads(base64.b64decode(row)) for row in request["stored"]]
    run._stored = {row.key: row for row in rows}
    run.run_id, run._seed = RunId(UUID(int=request["run"])), UUID(int=request["run"])
    run._started = STARTED
    kill_after, kill_in = request["kill"]

    class Memory(testing._Memory):
        def _write(self, checkpoint: Any) -> Any:
            if checkpoint.key == kill_in:
                _die(module, say)
            settled = super()._write(checkpoint)
            row = base64.b64encode(pickle.dumps(self._stored[checkpoint.key])).decode()
            say({"stored": row})
            if len(self._report.stored) == kill_after:
                _die(module, say)
            return settled

    testing.__dict__["_Memory"] = Memory
    run._attempt(None, None)
    say({"ended": describe(run.result), "effects": list(module.EFFECTS)})


def _die(module: types.ModuleType, say: Say) -> None:
    say({"died": True, "effects": list(module.EFFECTS)})
    os.kill(os.getpid(), signal.SIGKILL)


def key_of(row: str) -> str:
    """The step key of a checkpoint that an attempt told of."""
    key: str = pickle.loads(base64.b64decode(row)).key
    return key
