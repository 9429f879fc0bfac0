"""How many connections to the store operators hold, as docs/production.md counts them."""

from __future__ import annotations

import time

from tests.harness.eventually import eventually

AT_REST = 2  # one watches heartbeats, one listens
FOR_STATEMENTS = 4


def held(scene) -> int:
    [(count,)] = scene.database.query(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name LIKE 'perdure operator%'"
    )
    return count


def test_who_leads_holds_six_at_most_and_who_stands_by_none(scene, start_operator):
    first = start_operator(identity="first")
    first.until_leading()
    alone = eventually(lambda: (count := held(scene)) > AT_REST and count)
    second = start_operator(identity="second")
    eventually(lambda: second.get("/readyz")[0] == 200)
    for number in range(40):
        scene.apply(f"one-{number}")
    most = 0
    ends = time.monotonic() + 20
    while time.monotonic() < ends and len(scene.pods()) < 40:
        most = max(most, held(scene))
    assert len(scene.pods()) == 40
    assert alone <= most <= AT_REST + FOR_STATEMENTS
    first.stop()
    second.until_leading()
    eventually(lambda: AT_REST < held(scene) <= AT_REST + FOR_STATEMENTS)
