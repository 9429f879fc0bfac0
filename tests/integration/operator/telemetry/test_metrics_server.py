"""Metrics are closed: they are for accounts that the API server lets get /metrics, and travel by TLS."""

from __future__ import annotations

import pytest

from tests.cluster.api import Api
from tests.harness.eventually import eventually

from ..api_server import ApiServer
from ..scrapers import Scraper, account

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore:Unverified HTTPS request")]


def reviews(api: Api) -> int:
    """How often the API server was asked whose a token is, as it counts."""
    lines = api.text("/metrics").splitlines()
    found = [
        line for line in lines if line.startswith("apiserver_request_total{") and 'resource="tokenreviews"' in line
    ]
    return int(sum(float(line.rsplit(" ", 1)[1]) for line in found))


def test_only_who_may_get_them_reads_metrics(api_server: ApiServer, namespace: str, start_operator) -> None:
    operator = start_operator(metrics="authorized", metrics_port="0")
    scraper = Scraper(operator)
    prometheus = account(api_server.api, namespace, may_read=True)
    stranger = account(api_server.api, namespace, may_read=False)
    eventually(lambda: scraper.get(prometheus)[0] == 200, deadline=20)
    text = scraper.get(prometheus)[1]
    assert "perdure_operator_leading" in text
    assert scraper.get(stranger) == (403, "")
    assert scraper.get() == (401, "")
    assert scraper.get("a-guess") == (401, "")
    assert scraper.get(prometheus[:-4] + "AAAA") == (401, "")
    assert scraper.get(prometheus, scheme="Basic")[0] == 401
    # Health needs nobody's leave, and beside it there are no metrics.
    assert operator.get("/livez") == (200, "ok\n")
    assert operator.get("/metrics")[0] == 404


def test_scrapes_cost_the_api_server_one_question_a_minute(
    api_server: ApiServer, namespace: str, start_operator
) -> None:
    operator = start_operator(metrics="authorized", metrics_port="0")
    scraper = Scraper(operator)
    prometheus = account(api_server.api, namespace, may_read=True)
    eventually(lambda: scraper.get(prometheus)[0] == 200, deadline=20)
    before = reviews(api_server.api)
    assert [scraper.get(prometheus)[0] for _ in range(10)] == [200] * 10
    assert [scraper.get("one guess")[0] for _ in range(10)] == [401] * 10
    assert reviews(api_server.api) - before == 1  # of the guess


def test_nobody_reads_them_where_they_are_switched_off(start_operator) -> None:
    operator = start_operator(metrics="none")
    operator.until_leading()
    assert operator.get("/readyz")[0] == 200
    assert operator.get("/metrics")[0] == 404
    assert not [line for line in operator.log if line["message"] == "serving metrics"]
