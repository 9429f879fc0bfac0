"""How much memory the operator takes among the largest Workflows that the API server stores: its limit is 512 MiB."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.api import Api
from tests.harness.databases import Database
from tests.harness.eventually import eventually
from tests.harness.scale import SCALE

from .api_server import ApiServer
from .operators import Operator

LIMIT = 512 * 2**20
SHARE = 0.5
"""Of the limit, at the peak."""

NAMESPACE = "shop"
PATH = f"/apis/perdure.io/v1alpha1/namespaces/{NAMESPACE}/workflows"

TEMPLATES = min(200, 60 * SCALE)
"""Of 1.4 MB each, far more than a podTemplate may have; the whole campaign has 200."""

SOURCES = min(2_000, 300 * SCALE)
"""Of 127 KiB, as much as source may have; the whole campaign has 2,000."""


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    head = {"apiVersion": "perdure.io/v1alpha1", "kind": "Workflow", "metadata": {"name": name}}
    return {**head, "spec": {"entrypoint": "bank:transfer", "suspend": True, **spec}}


def templates() -> list[dict[str, Any]]:
    """Mostly of one long text; parsed, those of many short values have thirty times as much as their text."""
    long = "x" * 1_400_000
    many: list[list[Any]] = [[]] * 200_000
    made = [manifest(f"t-{number}", podTemplate={"spec": {"x": long}}) for number in range(TEMPLATES - 4)]
    made += [manifest(f"m-{number}", podTemplate={"spec": {"x": many}}) for number in range(3)]
    return [*made, manifest("deep", podTemplate={"spec": {"x": "DEEP"}})]


def sources() -> list[dict[str, Any]]:
    text = "x" * (127 * 1024)
    return [manifest(f"s-{number}", source={"inline": {"bank.py": text}}) for number in range(SOURCES)]


def create(api: Api, bodies: list[dict[str, Any]]) -> None:
    pool, url = api.client.rest_client.pool_manager, f"{api.client.configuration.host}{PATH}"

    def one(body: dict[str, Any]) -> None:
        text = json.dumps(body).replace('"DEEP"', "[" * 5_000 + "]" * 5_000)

        def created() -> bool:
            answer = pool.request("POST", url, body=text.encode(), headers={"Content-Type": "application/json"})
            if answer.status in (429, 504):  # it is busy: these are large
                return False
            assert answer.status in (201, 409), answer.data[:500]
            return True

        eventually(created, deadline=120, every=0.5)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(one, bodies))


def touch(api: Api, names: list[str]) -> None:
    """Have each be told of anew, as a whole."""
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: api.patch(f"{PATH}/{name}", {"metadata": {"labels": {"touched": "yes"}}}), names))


def peak(operator: Operator) -> int:
    status = Path(f"/proc/{operator.child.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def compared(operator: Operator) -> list[int]:
    """How many Workflows each comparison found."""
    return [line["workflows"] for line in operator.log if line["message"] == "compared"]


def until_stalled(api: Api, name: str) -> None:
    # As text: no parser of Python's reads the one that is nested so deeply.
    eventually(lambda: '"reason":"InvalidSpec"' in api.text(f"{PATH}/{name}"), deadline=60)


@pytest.mark.slow
@pytest.mark.timeout(600 if SCALE == 1 else 1200)
def test_the_largest_workflows_leave_half_of_the_limit(
    own_api_server: ApiServer, database: Database, children: Any
) -> None:
    api = own_api_server.api
    api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    large, code = templates(), sources()
    create(api, [*large, *code])
    operator = Operator(children, own_api_server.kubeconfig, database.url, NAMESPACE, {"resync_seconds": "20"})
    eventually(lambda: TEMPLATES + SOURCES in compared(operator), deadline=120, every=1)
    runs = "SELECT count(*) FROM perdure.runs WHERE length(source::text) > 127 * 1024"
    eventually(lambda: database.query(runs) == [(SOURCES,)], deadline=240, every=1)
    for name in ("t-0", "m-0", "deep"):
        until_stalled(api, name)
    started = peak(operator)
    touch(api, [body["metadata"]["name"] for body in [*large[:-1], *code[:100]]])
    so_far = len(compared(operator))
    eventually(lambda: len(compared(operator)) >= so_far + 2, deadline=150, every=1)
    print(f"at its peak {started / 2**20:.0f} MiB after its start, then {peak(operator) / 2**20:.0f} MiB")
    operator.check()
    assert peak(operator) < SHARE * LIMIT
