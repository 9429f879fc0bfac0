"""Who may read metrics, as far as it is remembered and while nobody can be asked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from perdure_operator.errors import Unavailable
from perdure_operator.kube import TOKEN_REVIEWS, Json, Resource
from perdure_operator.telemetry.access import Access, Verdict


class Reviews:
    """An API server that knows tokens `allowed` and `forbidden`, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.away = False
        self.hold = asyncio.Event()
        self.hold.set()
        self.at_once = self.most = 0

    async def create(self, resource: Resource, namespace: str | None, body: Json) -> Json:
        assert namespace is None
        self.asked += 1
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.hold.wait()
            if self.away:
                raise Unavailable("create tokenreviews", "nobody there")
            spec = body["spec"]
            if resource is TOKEN_REVIEWS:
                user = {"username": spec["token"], "groups": ["all"]}
                return {"status": {"authenticated": spec["token"] in ("allowed", "forbidden"), "user": user}}
            assert spec["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}
            return {"status": {"allowed": spec["user"] == "allowed"}}
        finally:
            self.at_once -= 1


class Scene:
    def __init__(self) -> None:
        self.now = 0.0
        self.reviews = Reviews()
        kube: Any = self.reviews
        self.access = Access(kube, "/metrics", lambda: self.now)

    async def ask(self, token: str) -> Verdict:
        return await self.access.verdict(f"Bearer {token}")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic allowed", "allowed"])
def test_who_brings_no_token_is_asked_for_one_and_nobody_else(header: str | None) -> None:
    async def main() -> None:
        scene = Scene()
        assert await scene.access.verdict(header) is Verdict.UNKNOWN
        assert scene.reviews.asked == 0

    asyncio.run(main())


def test_what_was_said_holds_for_a_while() -> None:
    async def main() -> None:
        scene = Scene()
        said = {"allowed": Verdict.ALLOWED, "forbidden": Verdict.FORBIDDEN, "guess": Verdict.UNKNOWN}
        for _ in range(3):
            assert {token: await scene.ask(token) for token in said} == said
        assert scene.reviews.asked == 5  # one guess needs no second question
        scene.now = 11
        await scene.ask("allowed")
        assert scene.reviews.asked == 5
        await scene.ask("forbidden")
        assert scene.reviews.asked == 7
        scene.now = 61
        await scene.ask("allowed")
        assert scene.reviews.asked == 9

    asyncio.run(main())


def test_while_nobody_can_be_asked_who_was_let_in_still_is_and_nobody_else() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.ask("allowed")
        await scene.ask("forbidden")
        scene.reviews.away = True
        scene.now = 600
        assert await scene.ask("allowed") is Verdict.ALLOWED
        assert await scene.ask("forbidden") is Verdict.NOT_NOW
        assert await scene.ask("another") is Verdict.NOT_NOW
        scene.now = 3601
        assert await scene.ask("allowed") is Verdict.NOT_NOW

    asyncio.run(main())


def test_strangers_ask_the_api_server_little_at_a_time() -> None:
    async def main() -> None:
        scene = Scene()
        scene.reviews.hold.clear()
        asking = [asyncio.create_task(scene.ask(f"guess {number}")) for number in range(100)]
        await asyncio.sleep(0)
        scene.reviews.hold.set()
        verdicts = [await one for one in asking]
        assert scene.reviews.most == 2
        assert verdicts.count(Verdict.UNKNOWN) == 20
        assert verdicts.count(Verdict.NOT_NOW) == 80

    asyncio.run(main())


def test_strangers_do_not_make_it_forget_who_was_let_in() -> None:
    async def main() -> None:
        scene = Scene()
        await scene.ask("allowed")
        for number in range(1100):
            await scene.ask(f"guess {number}")
        before = scene.reviews.asked
        assert await scene.ask("allowed") is Verdict.ALLOWED
        assert scene.reviews.asked == before

    asyncio.run(main())
