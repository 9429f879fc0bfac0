"""The operator as a process of a test."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import urllib3

from tests.harness.eventually import eventually
from tests.harness.processes import Child, Children

_HTTP = urllib3.PoolManager(retries=False)


class Operator:
    """Started with its Lease and its watches in one namespace; `options` are its settings by name.

    `before` is what stands before its command.
    """

    def __init__(
        self,
        children: Children,
        kubeconfig: Path,
        url: str,
        namespace: str,
        options: dict[str, str],
        before: Sequence[str] = (),
    ) -> None:
        settings = {
            "kubeconfig": str(kubeconfig),
            "namespaces": namespace,
            "leader_election_namespace": namespace,
            "pod_database_url": url,
            "http_port": "0",
            "metrics": "open",
            "lease_seconds": "2",
            **options,
        }
        env: dict[str, str | None] = {f"PERDURE_OPERATOR_{name.upper()}": value for name, value in settings.items()}
        # Who runs the tests is nobody's business.
        env |= {"PERDURE_DATABASE_URL": url, "USER": None, "LOGNAME": None}
        self.child: Child = children.start([*before, sys.executable, "-u", "-m", "perdure_operator"], env=env)

    @property
    def log(self) -> list[dict[str, Any]]:
        """What it has logged so far."""
        lines = self.child.errors.splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def get(self, path: str) -> tuple[int, str]:
        """What it answers over HTTP."""
        port = eventually(lambda: next((line["port"] for line in self.log if line["message"] == "listening"), 0))
        answer = _HTTP.request("GET", f"http://127.0.0.1:{port}{path}", timeout=5)
        return answer.status, answer.data.decode()

    def metric(self, name: str) -> float:
        """The value of a metric, with its labels as they are shown, or summed up over them."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        shown = f"perdure_operator_{name}"
        found = [line.rsplit(" ", 1) for line in lines]
        return sum(float(value) for what, value in found if what == shown or what.startswith(shown + "{"))

    def until_leading(self) -> None:
        """Wait until it works."""
        eventually(lambda: any(line["message"] == "compared" for line in self._log_or_fail()), deadline=30)

    def until_watching(self) -> None:
        """Wait until it misses nothing: its watches have begun, and it has compared what came before them."""
        self.until_leading()
        eventually(lambda: self._comparisons() >= 2, deadline=30)

    def until_compared(self, times: int) -> None:
        """Wait until it has compared store and API server so many times more."""
        before = self._comparisons()
        eventually(lambda: self._comparisons() >= before + times, deadline=30)

    def stop(self) -> int:
        """End it in order; its exit code."""
        self.child.signal(signal.SIGTERM)
        return self.child.wait(10)

    def check(self) -> None:
        """Nothing that nobody expected has happened in it."""
        unexpected = [line for line in self.log if "traceback" in line]
        assert not unexpected, unexpected[0]["traceback"]
        assert "Traceback" not in "\n".join(
            line for line in self.child.errors.splitlines() if not line.startswith("{")
        ), self.child.errors

    def _comparisons(self) -> int:
        return sum(line["message"] == "compared" for line in self.log)

    def _log_or_fail(self) -> list[dict[str, Any]]:
        if not self.child.running():
            raise RuntimeError(f"the operator ended: {self.child}")
        return self.log
