"""The outcomes that earlier attempts of a run recorded, in the order in which they were accepted, and the replay check.

The check: each branch must repeat its recorded calls, in their order and with their arguments.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from ...errors import NondeterminismError
from ...names import CANCEL_KEY, may_descend
from ...store.attempts.checkpoint import CallKind, Recorded

__all__ = ["Journal", "Recorded", "strikes_in_a_wait"]


class Journal:
    """The recorded outcomes of a run. Each branch must take its own in the order of their ordinals."""

    def __init__(self, recorded: Iterable[Recorded]) -> None:
        # Backwards: `pop` takes the last item of a list at no cost, and an empty deque would take 760 bytes.
        self._order = sorted(recorded, key=lambda r: r.ordinal, reverse=True)
        self._branches: dict[str, list[Recorded]] = {}
        self.cancellation: Recorded | None = None
        """The checkpoint of the run's cancellation, if that has struck."""
        for one in self._order:
            if one.key == CANCEL_KEY:
                self.cancellation = one
                if strikes_in_a_wait(one.result):
                    # The scheduler delivers it. No branch calls a step for it.
                    continue
            self._branches.setdefault(one.key.rpartition("/")[0], []).append(one)
        self.size = len(self._order)
        self.last_ordinal = self._order[0].ordinal if self._order else 0
        self.last_clock = max((one.clock for one in self._order), default=0)

    def head(self) -> Recorded | None:
        """The next outcome to be delivered: the first that is not consumed; None after the last."""
        order = self._order
        while order and order[-1].consumed:
            order.pop()
        return order[-1] if order else None

    def next_key(self, branch: str) -> str | None:
        """The key of the step that a branch must call next; None after the branch's last recorded call."""
        expected = self._branches.get(branch)
        return expected[-1].key if expected else None

    def take(
        self,
        kind: CallKind,
        branch: str,
        key: str,
        fingerprint: str | None = None,
        call: Callable[[], str] | None = None,
    ) -> Recorded | None:
        """The recorded outcome of what a branch calls; None if the call is new.

        Args:
            kind: what it calls.
            branch: the branch's path.
            key: the call's key.
            fingerprint: of the call's arguments; None equals any other.
            call: returns the call as text, for the message.

        Raises:
            NondeterminismError: the branch has another call recorded here, or other arguments of the same.
        """
        expected = self._branches.get(branch)
        if not expected:
            return None
        one = expected[-1]
        if one.kind is not kind:
            raise self._other_call(branch, one, f"the {one.kind} {one.key!r}", f"calls the {kind} {key!r}", call)
        if one.key != key:
            raise self._other_call(branch, one, repr(one.key), f"calls {key!r}", call)
        if one.fingerprint != fingerprint and one.fingerprint is not None and fingerprint is not None:
            like = next((r.key for r in reversed(expected) if r.fingerprint == fingerprint), None)
            known = "" if like is None else f", with which {like!r} was recorded"
            raise self._other_call(branch, one, repr(one.key), f"calls {key!r} with other arguments{known}", call)
        return expected.pop()

    @staticmethod
    def _other_call(
        branch: str, one: Recorded, then: str, now: str, call: Callable[[], str] | None
    ) -> NondeterminismError:
        written = "" if call is None else f": {call()}"
        return NondeterminismError(
            f"the workflow does not repeat its recorded calls: {_place(branch)} recorded {then} next"
            f" (in attempt {one.attempt}), and now {now}{written}."
            " Its code has changed since, or decides by something that is not recorded (time, chance, the order of"
            " a set); put that into a step, or start a new run"
        )

    def unclaimed(self, live_branches: Iterable[str] = ()) -> NondeterminismError | None:
        """The error for the first recorded step that was not called and cannot be called any more; None without one.

        Args:
            live_branches: paths of branches that have not ended. They and their descendants may still call steps.
        """
        live = tuple(live_branches)
        for one in reversed(self._order):
            branch = one.key.rpartition("/")[0]
            if one is self.cancellation:
                # The workflow ended before the cancellation struck.
                continue
            if not one.consumed and not any(may_descend(branch, path) for path in live):
                return self.never_called(one)
        return None

    def never_called(self, one: Recorded) -> NondeterminismError:
        """The error for a recorded step that the workflow does not call any more."""
        return NondeterminismError(
            f"the workflow does not repeat its recorded calls: {one.kind} {one.key!r}"
            f" (recorded in attempt {one.attempt}) was not called; now the workflow ends or waits without it. Its code"
            " has changed since, or decides by something that is not recorded; put that into a step, or start a new run"
        )


def strikes_in_a_wait(result: str | None) -> bool:
    """Whether a cancellation struck in a wait of the workflow, by its checkpoint's `result`, and not at a step call."""
    return json.loads(result or "{}").get("at") is None


def _place(branch: str) -> str:
    return f"branch {branch!r}" if branch else "the workflow"
