"""Events for `kubectl describe`: one object for each reason and message, counted up, and never an error."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from perdure_operator.controller.event_recorder import EventRecorder
from perdure_operator.decide.actions import PostEvent
from perdure_operator.errors import Unavailable
from tests.unit.operator.controller.kube import Objects
from tests.unit.operator.decide.builders import UID, workflow


def post(kube: Objects, reason: str = "Started", message: str = "it runs", *, warning: bool = False) -> None:
    recorder: Any = EventRecorder
    asyncio.run(recorder(kube, "operator-1").post(workflow(), PostEvent(reason, message, warning=warning)))


def test_an_event_is_about_its_workflow() -> None:
    kube = Objects()
    post(kube, warning=True)
    [body] = kube.objects.values()
    assert body["involvedObject"]["uid"] == str(UID)
    assert body["metadata"]["namespace"] == body["involvedObject"]["namespace"] == "shop"
    assert body["metadata"]["name"].startswith("transfer-17.")
    assert (body["type"], body["reason"], body["message"], body["count"]) == ("Warning", "Started", "it runs", 1)
    assert body["reportingInstance"] == "operator-1"


def test_the_same_again_is_counted_and_another_is_another() -> None:
    kube = Objects()
    for _ in range(3):
        post(kube)
    post(kube, message="it runs again")
    assert sorted(body["count"] for body in kube.objects.values()) == [1, 3]


def test_a_long_message_is_cut() -> None:
    kube = Objects()
    post(kube, message="x" * 5000)
    [body] = kube.objects.values()
    assert body["message"] == "x" * 1024


def test_a_failure_is_only_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    kube = Objects()
    kube.fail("create", Unavailable("create events", "away"))
    post(kube)
    assert "an event was not posted: create events: away" in caplog.text
