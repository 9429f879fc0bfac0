"""Whether a written program comes to the same end wherever it is killed, and a smaller program that does not either."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import attempts, grammar
from .zygote import Zygote

REFUSALS = frozenset(
    (
        "DefinitionError",
        "InputError",
        "MutationError",
        "NondeterminismError",
        "StepCallError",
        "UsageError",
        "ValueNotReadable",
        "ValueNotStorable",
    )
)
"""Errors by which Perdure says that it does not do something."""

_RUN = 0x1234_5678_9ABC
_DEADLINE = 25.0
"""Seconds without a sign of life: a run that long hangs."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What a killed run did otherwise.

    Attributes:
        kind: in a word, the same for a smaller program that fails likewise.
        place: where the run died.
    """

    kind: str
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}, died at {self.place}: {self.text}"


def check(zygote: Zygote, program: grammar.Program, *, most: int = 16, unit: float = 0.01) -> Difference | None:
    """Run a program plainly, undisturbed, and killed at up to `most` places, in memory; what differs first.

    `unit` is in seconds, for programs in real time.
    """
    told = list(
        zygote.ask(
            "in_memory",
            _DEADLINE,
            source=program.source(),
            changed=None,
            virtual=program.virtual,
            unit=unit,
            most=most,
        )
    )
    places = [one for one in told if "place" in one]
    if "crashed" in told[-2]:
        return Difference("crashed", "", told[-2]["crashed"])
    found = _judge(program, places)
    if found is None and told[-1]["left"] == "hung":
        found = Difference("hung", str(told[-2].get("begins", "?")), "no end")
    return found


def check_changed(zygote: Zygote, program: grammar.Program, seed: int) -> Difference | None:
    """Resume killed runs with a call inserted into their code: an error, or what the new code gives by itself."""
    found = _check_changed(zygote, program, random.Random(seed), unit=0.02)
    if found is not None and not program.virtual:
        # What only a slow machine makes differ does not count.
        return _check_changed(zygote, program, random.Random(seed), unit=0.3) and found
    return found


def _check_changed(
    zygote: Zygote, program: grammar.Program, chance: random.Random, *, unit: float
) -> Difference | None:
    call = chance.choice(["f('inserted')", "g('inserted')", "run_step('inserted', pure, 'inserted')"])
    changed = program.source(inserted=f"out.append({call})", at=chance.randint(0, len(program.nodes)))
    options: dict[str, Any] = {"virtual": program.virtual, "unit": unit}
    by_itself = _undisturbed(zygote.ask("in_memory", _DEADLINE, source=changed, changed=None, most=0, **options))
    told = list(zygote.ask("in_memory", _DEADLINE, source=program.source(), changed=changed, most=12, **options))
    if told[-1]["left"] == "hung":
        return Difference("hung", str(told[-2]), "no end")
    for one in told:
        if not one.get("changed") or _is_refusal(one["ended"]):
            continue
        # In which step the old code died, the new one may do something else in.
        one["effects"] = list({key: [attempt, key, what] for attempt, key, what in one["effects"]}.values())
        if found := _judge_killed(one, by_itself, refused=False):
            return found
    return None


def _undisturbed(told: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return next(one for one in list(told) if one.get("place") == "undisturbed")


def check_twice(zygote: Zygote, program: grammar.Program, *, most: int = 16) -> Difference | None:
    """As `check`; where time is real, what only a slow machine makes differ does not count."""
    found = check(zygote, program, most=most)
    if found is not None and not program.virtual:
        again = check(zygote, program, most=most, unit=0.15)
        return again and found
    return found


def check_over_time(zygote: Zygote, program: grammar.Program, seed: int, *, most: int = 6) -> Difference | None:
    """Let time pass in which nobody runs, between deaths: replayed after its end, a run gives what it gave.

    What it gives depends on that time, since timeouts count it, so it is not compared with the plain call.
    """
    found = _check_over_time(zygote, program, seed, most=most, unit=0.01)
    if found is not None and not program.virtual:
        # What only a slow machine makes differ does not count.
        return _check_over_time(zygote, program, seed, most=most, unit=0.15) and found
    return found


def _check_over_time(
    zygote: Zygote, program: grammar.Program, seed: int, *, most: int, unit: float
) -> Difference | None:
    options: dict[str, Any] = {"virtual": program.virtual, "unit": unit, "seed": seed, "most": most}
    told = list(zygote.ask("over_time", _DEADLINE, source=program.source(), **options))
    for one in told:
        if "crashed" in one:
            return Difference("crashed", "", one["crashed"])
        if "place" not in one:
            continue
        place = one["place"]
        if _is_refusal(one["ended"]) and not program.any("refused"):
            return Difference("refused", place, str(one["ended"]))
        if one["replayed"] != one["ended"]:
            return Difference("replayed otherwise", place, _both(one["replayed"], one["ended"]))
        stored = {key: number for number, keys in enumerate(one["stored"], 1) for key in keys}
        for attempt, key, what in one["effects"]:
            if key in stored and attempt > stored[key]:
                return Difference("a finished step ran again", place, f"{key} {what} in attempt {attempt}")
    if told[-1]["left"] == "hung":
        return Difference("hung", str(told[-2].get("begins", "?")), "no end")
    return None


def _judge(program: grammar.Program, places: list[dict[str, Any]]) -> Difference | None:
    if not places:
        return None
    plain, *rest = places
    if plain["ended"][0] != "returned":
        return Difference("bad program", "plain", str(plain["ended"]))
    if not rest:
        return None
    undisturbed, *killed = rest
    refused = _is_refusal(undisturbed["ended"]) and program.any("refused")
    if not refused and not program.any("unlike"):
        if undisturbed["ended"] != plain["ended"]:
            return Difference("not as plain", "undisturbed", _both(undisturbed["ended"], plain["ended"]))
        if sorted(_done(undisturbed)) != sorted(_done(plain)):
            return Difference("other effects", "undisturbed", _both(sorted(_done(undisturbed)), sorted(_done(plain))))
    for one in killed:
        if found := _judge_killed(one, undisturbed, refused=refused):
            return found
    return None


def _judge_killed(one: dict[str, Any], undisturbed: dict[str, Any], *, refused: bool) -> Difference | None:
    place = one["place"]
    if refused:
        same = _is_refusal(one["ended"])
        return None if same else Difference("accepted", place, _both(one["ended"], undisturbed["ended"]))
    if one["ended"] != undisturbed["ended"]:
        kind = f"error {one['ended'][1][0]}" if one["ended"][0] == "raised" else "other result"
        return Difference(kind, place, _both(one["ended"], undisturbed["ended"]))
    ran, expected = _by_key(one), _by_key(undisturbed)
    if ran != expected:
        return Difference("other effects", place, _both(ran, expected))
    stored = {key: number for number, keys in enumerate(one["stored"], 1) for key in keys}
    for attempt, key, what in one["effects"]:
        if key in stored and attempt > stored[key]:
            return Difference("a finished step ran again", place, f"{key} {what} in attempt {attempt}")
    return None


def check_for_real(zygotes: list[Zygote], program: grammar.Program, seed: int) -> Difference | None:
    """Kill a program's processes by SIGKILL, each with another hash seed: does it come to the same end?"""
    found = _check_for_real(zygotes, program, seed, unit=0.02)
    if found is not None and not program.virtual:
        # What only a slow machine makes differ does not count.
        return _check_for_real(zygotes, program, seed, unit=0.3) and found
    return found


def _check_for_real(
    zygotes: list[Zygote], program: grammar.Program, seed: int, *, unit: float, deaths: int = 3
) -> Difference | None:
    chance = random.Random(seed)
    source, virtual = program.source(), program.virtual
    options: dict[str, Any] = {"source": source, "virtual": virtual, "unit": unit}
    undisturbed = _attempt(zygotes[0], options, 1, [], (None, None))
    if undisturbed.ended is None:
        return Difference(undisturbed.left, "undisturbed", "no end")
    stored: list[str] = []
    died: list[tuple[int | None, str | None]] = []
    kept: set[str] = set()
    for number in range(1, deaths + 2):
        kill = (chance.randint(1, max(1, len(undisturbed.keys) // 2)), None) if number <= deaths else (None, None)
        if chance.random() < 0.4 and number <= deaths and undisturbed.keys:
            kill = (None, chance.choice(undisturbed.keys))  # type: ignore[assignment]
        one = _attempt(zygotes[number % len(zygotes)], options, number, stored, kill)
        place = f"{[*died, kill]}"
        if again := [str(effect) for effect in one.effects if effect[1] in kept]:
            return Difference("a finished step ran again", place, ", ".join(again))
        stored = [*stored, *one.stored]
        kept.update(one.keys)
        died.append(kill)
        if one.ended is None and one.left == "hung":
            return Difference("hung", place, "no end")
        if one.ended is not None:
            return _judge_end(program, one.ended, undisturbed.ended, place)
    return None


def _judge_end(program: grammar.Program, ended: list[Any], undisturbed: list[Any], place: str) -> Difference | None:
    if ended == undisturbed:
        return None
    if program.any("refused") and _is_refusal(ended):
        return None
    kind = f"error {ended[1][0]}" if ended[0] == "raised" else "other result"
    return Difference(f"for real: {kind}", place, _both(ended, undisturbed))


@dataclass(slots=True)
class _Attempt:
    ended: list[Any] | None
    left: str
    stored: list[str]
    keys: list[str]
    effects: list[Any]


def _attempt(
    zygote: Zygote, options: dict[str, Any], number: int, stored: list[str], kill: tuple[int | None, str | None]
) -> _Attempt:
    told = list(zygote.ask("for_real", _DEADLINE, attempt=number, stored=stored, kill=kill, run=_RUN, **options))
    rows = [one["stored"] for one in told if "stored" in one]
    keys = [attempts.key_of(row) for row in rows]
    ended = next((one["ended"] for one in told if "ended" in one), None)
    for one in told:
        if "crashed" in one:
            raise AssertionError(one["crashed"])
    effects: list[Any] = next((one["effects"] for one in told if "effects" in one), [])
    return _Attempt(ended, told[-1]["left"], rows, keys, effects)


def _is_refusal(ended: list[Any]) -> bool:
    return ended[0] == "raised" and ended[1][0] in REFUSALS


def _done(place: dict[str, Any]) -> list[str]:
    return [str(what) for _, _, what in place["effects"]]


def _by_key(place: dict[str, Any]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for _, key, what in place["effects"]:
        found.setdefault(key, set()).add(str(what))
    return found


def _both(one: object, other: object) -> str:
    return f"\n  killed   {str(one)[:3000]}\n  expected {str(other)[:3000]}"


def smallest(zygote: Zygote, program: grammar.Program, found: Difference) -> tuple[grammar.Program, Difference]:
    """A program from which nothing can be taken without its failing otherwise, or not at all."""
    shrinks = True
    while shrinks:
        shrinks = False
        for less in grammar.smaller(program):
            again = check(zygote, less, most=100)
            if again is not None and again.kind == found.kind:
                program, found, shrinks = less, again, True
                break
    return program, found
