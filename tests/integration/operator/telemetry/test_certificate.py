"""The certificate with which metrics are served: a given one, or one that nobody can check."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import urllib3

from tests.harness.eventually import eventually

from ..api_server import ApiServer
from ..scrapers import Scraper, account

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore:Unverified HTTPS request")]


def test_a_given_certificate_is_served_and_can_be_checked(
    api_server: ApiServer, namespace: str, start_operator, tmp_path: Path
) -> None:
    make_certificate(tmp_path)
    operator = start_operator(metrics="authorized", metrics_port="0", metrics_certificate=str(tmp_path))
    prometheus = account(api_server.api, namespace, may_read=True)
    scraper = Scraper(operator, tmp_path / "tls.crt")
    eventually(lambda: scraper.get(prometheus)[0] == 200, deadline=20)
    self_made = start_operator(metrics="authorized", metrics_port="0", http_port="0", leader_election="false")
    with pytest.raises(urllib3.exceptions.SSLError):
        Scraper(self_made, tmp_path / "tls.crt").get(prometheus)


def make_certificate(folder: Path) -> None:
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=operator.test -days 2"
    subject = ["-addext", "subjectAltName=DNS:operator.test", "-out", "tls.crt", "-keyout", "tls.key"]
    subprocess.run([*command.split(), *subject], cwd=folder, check=True, capture_output=True)


def test_a_certificate_that_is_not_there_is_told(start_operator, tmp_path: Path) -> None:
    operator = start_operator(metrics="authorized", metrics_port="0", metrics_certificate=str(tmp_path))
    assert operator.child.wait(20) == 64
    assert f"--metrics-certificate: {tmp_path} has no tls.crt and tls.key" in operator.child.errors
