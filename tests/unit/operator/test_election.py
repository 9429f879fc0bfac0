"""Who works, from when to when: whatever becomes of holder, line and Lease, never two, and before long one."""

from __future__ import annotations

import asyncio
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perdure_operator.election import LeaseTimes
from perdure_operator.kube import Json
from tests.harness.jumping_time import in_jumping_time
from tests.harness.scale import SCALE
from tests.unit.operator.leases import Campaign, now

RETRY = 2.0 * 1.2
TIMES = LeaseTimes()


# One.


@in_jumping_time
async def test_a_lease_that_nobody_has_made_is_taken_at_once() -> None:
    campaign = Campaign()
    elector = campaign.join("a")
    assert await campaign.until("a") <= 0.1
    assert elector.holder == "a"
    spec = campaign.leases.spec
    assert (spec["holderIdentity"], spec["leaseDurationSeconds"], spec["leaseTransitions"]) == ("a", 15, 0)
    for time in (spec["acquireTime"], spec["renewTime"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)
    await campaign.end()


@in_jumping_time
async def test_it_is_renewed_for_as_long_as_it_is_held() -> None:
    campaign = Campaign()
    campaign.join("a")
    await asyncio.sleep(3600)
    assert campaign.terms == [("a", 0.0)]
    assert 3600 / 2.5 < len(campaign.leases.holders) <= 3600 / 2 + 2
    assert campaign.leases.spec["leaseTransitions"] == 0
    await campaign.end()


@in_jumping_time
async def test_work_that_ends_by_itself_is_begun_again() -> None:
    campaign = Campaign()
    began: list[float] = []

    async def work() -> None:
        began.append(now())
        await asyncio.sleep(30)

    campaign.join("a", work=work)
    await asyncio.sleep(100)
    assert began == [0.0, 30.0, 60.0, 90.0]
    await campaign.end()


@in_jumping_time
async def test_work_that_fails_ends_it_and_frees_the_lease() -> None:
    campaign = Campaign()

    async def work() -> None:
        await asyncio.sleep(5)
        raise LookupError("nothing there")

    campaign.join("a", work=work)
    with pytest.raises(LookupError, match="nothing there"):
        await campaign.tasks["a"]
    assert campaign.leases.spec["holderIdentity"] == ""
    campaign.join("b")
    assert await campaign.until("b") <= RETRY
    await campaign.end()


# One after another.


@in_jumping_time
async def test_an_elector_that_stops_in_order_is_followed_at_once() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    second = campaign.join("b")
    await asyncio.sleep(60)
    assert campaign.terms == [("a", 0.0)]
    assert second.holder == "a"
    await campaign.stop("a")
    assert await campaign.until("b") <= RETRY
    assert campaign.leases.spec["leaseTransitions"] == 1
    await campaign.end()


@in_jumping_time
async def test_an_elector_that_is_killed_is_followed_once_its_lease_has_lapsed() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    campaign.join("b")
    await asyncio.sleep(60)
    await campaign.kill("a")
    # It was renewed at most a try ago, and that was seen, and is found to be over, within a try each.
    assert TIMES.duration - TIMES.retry <= await campaign.until("b") <= TIMES.duration + 2 * RETRY
    await campaign.end()


@in_jumping_time
async def test_of_many_that_come_at_once_one_has_it() -> None:
    campaign = Campaign()
    for number in range(20):
        campaign.join(f"e{number}")
        campaign.lines[f"e{number}"].latency = 0.01  # so that all of them read before any writes
    await asyncio.sleep(30)
    assert len(campaign.at_work) == 1
    for number in range(20):
        if f"e{number}" not in campaign.at_work:
            await campaign.stop(f"e{number}")  # who does not hold it lets go of nothing
    assert len(campaign.at_work) == 1
    assert len({*campaign.leases.holders} - {""}) == 1  # it is made without a holder
    await campaign.end()


# Lines.


@in_jumping_time
@pytest.mark.parametrize("how", ["cut", "hangs"])
async def test_a_holder_that_cannot_renew_stops_before_another_begins(how: str) -> None:
    campaign = Campaign()
    elector = campaign.join("a")
    await campaign.until("a")
    campaign.join("b")
    await asyncio.sleep(60)
    setattr(campaign.lines["a"], how, True)
    cut = now()
    while campaign.at_work:
        await asyncio.sleep(0.05)
    assert TIMES.renew - TIMES.retry <= now() - cut <= TIMES.renew + 0.1
    assert elector.problem is not None or how == "hangs"
    await campaign.until("b")
    assert now() - cut <= TIMES.duration + 2 * RETRY
    setattr(campaign.lines["a"], how, False)
    await asyncio.sleep(60)
    assert campaign.at_work == ["b"]
    assert (elector.problem, elector.holder) == (None, "b")
    await campaign.end()


@in_jumping_time
async def test_a_short_outage_interrupts_nobody() -> None:
    campaign = Campaign()
    elector = campaign.join("a")
    campaign.join("b")
    await asyncio.sleep(60)
    [holder] = campaign.at_work
    for _ in range(20):
        for line in campaign.lines.values():
            line.cut = True
        await asyncio.sleep(TIMES.renew - 2 * TIMES.retry)
        for line in campaign.lines.values():
            line.cut = False
        await asyncio.sleep(2 * TIMES.retry)
    assert campaign.terms == [(holder, 0.0)]
    assert elector.problem is None
    await campaign.end()


@in_jumping_time
@pytest.mark.parametrize("seconds", [30.0, 600.0, 20_000.0])
async def test_an_outage_of_any_length_is_waited_out(seconds: float) -> None:
    campaign = Campaign()
    for name in ("a", "b"):
        campaign.join(name)
    await asyncio.sleep(60)
    for line in campaign.lines.values():
        line.cut = True
    await asyncio.sleep(seconds)
    assert campaign.at_work == []
    for line in campaign.lines.values():
        line.cut = False
    await asyncio.sleep(TIMES.duration + 2 * RETRY)
    assert len(campaign.at_work) == 1
    assert not any(task.done() for task in campaign.tasks.values())
    await campaign.end()


@in_jumping_time
async def test_a_renewal_whose_answer_is_lost_was_one_all_the_same() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    campaign.join("b")
    campaign.lines["a"].loses_answers = True
    await asyncio.sleep(TIMES.renew + 1)
    assert campaign.at_work == []  # it does not know, so it stops
    await asyncio.sleep(60)
    assert campaign.leases.holders[-1] == "a"  # which has the Lease, and does no harm
    campaign.lines["a"].loses_answers = False
    assert await campaign.until("a") <= RETRY
    await campaign.end()


@in_jumping_time
async def test_a_renewal_counts_from_when_it_was_written_as_it_does_for_the_others() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    campaign.lines["a"].way_back = 4.0
    renewals = len(campaign.leases.holders)
    while len(campaign.leases.holders) == renewals:
        await asyncio.sleep(0.05)
    written = now()
    await asyncio.sleep(4.1)
    campaign.lines["a"].cut = True
    while campaign.at_work:
        await asyncio.sleep(0.05)
    assert now() - written <= TIMES.renew + 0.1
    await campaign.end()


@in_jumping_time
async def test_what_a_stranger_changes_in_a_held_lease_costs_one_renewal() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    for _ in range(50):
        assert campaign.leases.stored is not None
        body = campaign.leases.stored
        campaign.leases.put({**body, "metadata": {**body["metadata"], "labels": {"seen": str(now())}}})
        await asyncio.sleep(1.3)
    assert campaign.terms == [("a", 0.0)]
    await campaign.end()


# Clocks.


@in_jumping_time
async def test_clocks_need_not_agree() -> None:
    campaign = Campaign()
    campaign.join("a", clock=lambda: now() + 1e9)
    await campaign.until("a")
    campaign.join("b", clock=now)
    campaign.join("c", clock=lambda: now() - 1e9)
    await asyncio.sleep(600)
    assert campaign.terms == [("a", 0.0)]
    await campaign.kill("a")
    await asyncio.sleep(TIMES.duration + 2 * RETRY)
    assert len(campaign.at_work) == 1
    await campaign.end()


@in_jumping_time
@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("holders", "others"), [(1.0, 1.49), (1.22, 1.22), (1.49, 1.0), (0.8, 0.8)])
async def test_one_clock_may_be_faster_than_another_by_almost_a_half(holders: float, others: float, seed: int) -> None:
    """`holders` is slow and `others` fast by these factors; a record lasts half as long again as the right to renew."""
    random.seed(seed)
    campaign = Campaign()
    campaign.join("a", clock=lambda: now() / holders)
    await campaign.until("a")
    campaign.join("b", clock=lambda: now() * others)
    await asyncio.sleep(60)
    campaign.lines["a"].cut = True
    await campaign.until("b")
    await campaign.end()


@in_jumping_time
async def test_a_holder_that_slept_past_its_time_stops_on_waking() -> None:
    slept = [0.0]
    campaign = Campaign()
    campaign.join("a", clock=lambda: now() + slept[0])
    await campaign.until("a")
    await asyncio.sleep(60)
    # As a machine that is paused: nothing of it runs meanwhile, and its Lease is another's.
    holder = {**campaign.leases.spec, "holderIdentity": "other"}
    slept[0] = 60.0
    campaign.leases.put({"metadata": {}, "spec": holder})
    await asyncio.sleep(TIMES.retry + 0.1)
    assert campaign.at_work == []
    assert await campaign.until("a") <= TIMES.duration + 2 * RETRY  # as soon as the other is gone
    await campaign.end()


# The Lease.


@in_jumping_time
async def test_a_lease_that_is_deleted_is_made_anew_by_its_holder() -> None:
    campaign = Campaign()
    campaign.join("a")
    await campaign.until("a")
    for _ in range(5):
        campaign.leases.stored = None
        await asyncio.sleep(TIMES.retry + 0.1)
        assert campaign.leases.spec["holderIdentity"] == "a"
    assert campaign.terms == [("a", 0.0)]
    await campaign.end()


@in_jumping_time
async def test_of_a_deleted_lease_whoever_makes_it_is_the_holder() -> None:
    campaign = Campaign()
    elector = campaign.join("a")
    await campaign.until("a")
    campaign.leases.stored = None
    campaign.leases.put({"metadata": {"name": "operator"}, "spec": {"holderIdentity": "b", "leaseDurationSeconds": 15}})
    await asyncio.sleep(TIMES.retry + 0.1)
    assert campaign.at_work == []
    assert elector.holder == "b"
    await campaign.end()
    assert campaign.leases.spec["holderIdentity"] == "b"  # of which nobody but b lets go


NOBODYS: list[Json] = [
    {"metadata": {}},
    {"metadata": {}, "spec": None},
    {"metadata": {}, "spec": {}},
    {"metadata": {}, "spec": {"holderIdentity": ""}},
    {"metadata": {}, "spec": {"holderIdentity": None, "leaseTransitions": None, "leaseDurationSeconds": None}},
    {"metadata": {}, "spec": {"leaseDurationSeconds": 1_000_000, "renewTime": "2999-01-01T00:00:00.000000Z"}},
]


@in_jumping_time
@pytest.mark.parametrize("body", NOBODYS, ids=str)
async def test_a_lease_that_nobody_holds_is_taken_at_once_whatever_else_it_says(body: Json) -> None:
    campaign = Campaign()
    campaign.leases.put(body)
    campaign.join("a")
    assert await campaign.until("a") <= 0.1
    assert campaign.leases.spec["leaseDurationSeconds"] == 15
    await campaign.end()


@in_jumping_time
@pytest.mark.parametrize("renewed", [None, "1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "no time"])
async def test_a_lease_of_somebody_who_is_gone_is_taken_after_its_duration_as_seen_from_here(
    renewed: str | None,
) -> None:
    campaign = Campaign()
    spec = {"holderIdentity": "gone", "leaseDurationSeconds": 40, "renewTime": renewed, "leaseTransitions": 3}
    campaign.leases.put({"metadata": {}, "spec": spec})
    campaign.join("a")
    assert 40 <= await campaign.until("a") <= 40 + RETRY + 0.1
    assert campaign.leases.spec["leaseTransitions"] == 4
    await campaign.end()


@in_jumping_time
async def test_what_others_wrote_into_it_stays() -> None:
    campaign = Campaign()
    spec = {"holderIdentity": "", "strategy": "OldestEmulationVersion"}
    campaign.leases.put({"metadata": {"labels": {"team": "shop"}}, "spec": spec})
    campaign.join("a")
    await campaign.until("a")
    assert campaign.leases.stored is not None
    assert campaign.leases.stored["metadata"]["labels"] == {"team": "shop"}
    assert campaign.leases.spec["strategy"] == "OldestEmulationVersion"
    await campaign.end()


# Fate.

names = st.sampled_from(["a", "b", "c"])
troubles = st.tuples(
    names,
    st.sampled_from(["cut", "hangs", "loses_answers", "slow", "kill", "stop"]),
    st.floats(0.0, 25.0),
    st.floats(0.0, 25.0),
)


@settings(max_examples=60 * SCALE, deadline=None)
@given(st.lists(troubles, max_size=12))
def test_whatever_becomes_of_lines_and_electors_never_two_work_and_in_the_end_one_does(
    story: list[tuple[str, str, float, float]],
) -> None:
    @in_jumping_time
    async def told() -> None:
        campaign = Campaign()
        for name in ("a", "b", "c"):
            campaign.join(name)
        for name, trouble, before, lasts in story:
            await asyncio.sleep(before)
            line = campaign.lines[name]
            match trouble:
                case "kill":
                    await campaign.kill(name)
                case "stop":
                    await campaign.stop(name)
                case "slow":
                    line.latency = lasts / 3
                case _:
                    setattr(line, trouble, True)
            await asyncio.sleep(lasts)
            line.cut = line.hangs = line.loses_answers = False
            line.latency = 0.0
            if campaign.tasks[name].done():
                campaign.join(name)
        await asyncio.sleep(60)
        assert len(campaign.at_work) == 1
        await campaign.end()

    told()
