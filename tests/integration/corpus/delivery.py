"""Builds, deployments, campaigns, experiments."""

from __future__ import annotations

import asyncio
import collections
import datetime
import logging
import uuid
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

import perdure
from perdure import step, workflow

from .outside import tell

log = logging.getLogger(__name__)


@dataclass
class Result:
    job: str
    passed: bool
    took: datetime.timedelta = datetime.timedelta(seconds=1)


@step
async def run_job(job: str) -> Result:
    await asyncio.sleep(0.001)
    tell("job", job)
    return Result(job, job != "lint", datetime.timedelta(seconds=len(job)))


@workflow
async def ci_pipeline(needs: dict[str, list[str]]) -> dict[str, bool]:
    order = TopologicalSorter(needs)
    order.prepare()
    passed: dict[str, bool] = {}
    while order.is_active():
        ready = sorted(order.get_ready())
        for result in await asyncio.gather(*(run_job(job) for job in ready)):
            passed[result.job] = result.passed
            order.done(result.job)
    return passed


class BuildFailed(Exception):
    def __init__(self, jobs: list[str]) -> None:
        super().__init__(f"failed: {', '.join(jobs)}")
        self.jobs = jobs


@workflow
async def strict_pipeline(jobs: list[str]) -> datetime.timedelta:
    took = datetime.timedelta()
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(run_job(job)) for job in jobs]
    results = [task.result() for task in tasks]
    if failed := [one.job for one in results if not one.passed]:
        raise BuildFailed(failed)
    for one in results:
        took += one.took
    return took


@step
def set_traffic(version: str, share: int) -> None:
    tell("traffic", (version, share))


@step
def error_rate(version: str, share: int) -> float:
    tell("measure", version)
    return 0.2 if version == "bad" and share > 10 else 0.01


@workflow
def canary(version: str) -> str:
    for share in (5, 25, 100):
        set_traffic(version, share)
        if error_rate(version, share) > 0.1:
            for back in (5, 0):
                set_traffic(version, back)
            return "rolled back"
        log.info("%s at %d %%", version, share)
    return "deployed"


@dataclass
class Campaign:
    name: str
    sent: dict[str, str] = field(default_factory=dict)
    bounced: set[str] = field(default_factory=set)


@step
def mail(address: str, subject: str) -> str:
    tell("mail", (address, subject))
    if "@" not in address:
        raise ValueError(address)
    return f"msg-{address}"


@workflow
def email_campaign(name: str, addresses: list[str]) -> Campaign:
    campaign = Campaign(name)
    for address in dict.fromkeys(addresses):
        try:
            campaign.sent[address] = mail(address, f"{name}!")
        except ValueError as error:
            campaign.bounced.add(str(error))
    return campaign


@step
def record(user: str, group: str) -> str:
    tell("assigned", user)
    return f"{user}:{group}"


@workflow
def experiment(users: list[str]) -> int:
    groups = collections.Counter(record(user, "a" if perdure.random() < 0.5 else "b").split(":")[1] for user in users)
    return groups["a"] + groups["b"]


@step
def place(order: uuid.UUID, at: datetime.datetime) -> tuple[uuid.UUID, datetime.datetime]:
    tell("place")
    return order, at


@workflow
def order_ids(count: int) -> bool:
    same = []
    for _ in range(count):
        order, at = perdure.uuid4(), perdure.now()
        same.append(place(order, at) == (order, at))
    return all(same)


@step
def daily(day: datetime.date, region: str) -> int:
    tell("daily", (day.isoformat(), region))
    return day.day + len(region)


@workflow
def report_with_sets(until: datetime.date) -> dict[datetime.date, int]:
    regions = {"north", "south"} | {"east"}
    days = [until - datetime.timedelta(days=back) for back in range(2)]
    return {day: sum(daily(day, region) for region in sorted(regions)) for day in days}


@step
async def reviewer(name: str, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return f"{name} approves"


@workflow
async def first_two_reviews(names: list[str]) -> list[str]:
    reviews = []
    tasks = [asyncio.create_task(reviewer(name, 0.001 if n < 2 else 30)) for n, name in enumerate(names)]
    for review in asyncio.as_completed(tasks):
        reviews.append(await review)
        if len(reviews) == 2:
            break
    for task in tasks:
        task.cancel()
    return sorted(reviews)


PROGRAMS = [
    (ci_pipeline, ({"test": ["build"], "lint": [], "deploy": ["test", "lint"]},)),
    (strict_pipeline, (["build", "test"],)),
    (strict_pipeline, (["build", "lint"],)),
    (canary, ("good",)),
    (canary, ("bad",)),
    (email_campaign, ("spring", ["ada@x", "bob", "ada@x", "cid@x"])),
    (experiment, (["ada", "bob", "cid"],)),
    (order_ids, (2,)),
    (report_with_sets, (datetime.date(2026, 3, 1),)),
    (first_two_reviews, (["ada", "bob", "cid"],)),
]
