"""Workflows that try what they may not; what they are given is more than an attacker would know."""

from __future__ import annotations

import time
from dataclasses import dataclass

from perdure import workflow

from . import store, surroundings
from .attempts import Told


@dataclass(frozen=True, slots=True)
class Given:
    """Whom to attack, and where everything is."""

    victim: str
    victims_claim: str
    waiting: str
    waitings_claim: str
    channels: list[str]
    store: str
    namespace: str
    operator: str
    nodes: list[str]


@workflow
def attack(given: Given) -> dict[str, Told]:
    """Everything, one after the other."""
    return {
        "tables": store.tables(),
        "schema and server": store.schema_and_server(),
        "functions": store.functions(given.victim, given.victims_claim, given.waiting, given.waitings_claim),
        "bounds": store.bounds(),
        "many sessions": store.many_sessions(),
        "notifications": store.notifications(given.channels, given.victim),
        "logins": store.logins(given.store),
        "kubernetes": surroundings.kubernetes(given.namespace, given.nodes),
        "network": surroundings.network(given.operator),
        "metrics": surroundings.metrics(given.operator),
        "host": surroundings.host(),
        "programs": surroundings.programs(),
        # Its own are among those that it ends.
        "sessions": store.sessions_of_others(),
    }


@workflow
def obstruct() -> None:
    """Be in the way of migrations, until somebody ends it."""
    store.obstruct()
    while True:
        time.sleep(1)
