"""The operator as a process of this machine, behind the proxy that injects faults, to be killed at a chosen request.

A fault keeps the request from the API server, or the answer from the operator, which waits for it: so there is no
race between what it would do next and its end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.faults.api_proxy import ApiProxy, Requests, Rule, Stall
from tests.cluster.faults.api_proxy.faults import Moment, Point
from tests.harness.eventually import eventually
from tests.harness.processes import Children
from tests.harness.workspace import Workspace
from tests.integration.operator.operators import Operator

from . import postgres
from .installation import Installation

__all__ = ["KeepAnswer", "OuterOperator"]


class KeepAnswer(Stall):
    """Has the API server carry a request out, and keeps the body of its answer from the client."""

    def strikes(self, point: Point) -> bool:
        return point.moment is Moment.STREAM


@dataclass(slots=True)
class OuterOperator:
    """One at a time, for some namespaces; it holds no Lease, so that the next one need not wait for it to lapse."""

    installation: Installation
    namespaces: Sequence[str]
    proxy: ApiProxy
    children: Children
    folder: Path
    _ways: ExitStack
    _now: Operator | None = None

    @classmethod
    @contextmanager
    def of(cls, installation: Installation, namespaces: Sequence[str]) -> Iterator[OuterOperator]:
        """The first is there at once, the last ends with the block."""
        with Workspace() as workspace, ApiProxy(installation.cluster.kubeconfig) as proxy, ExitStack() as ways:
            children = Children(workspace)
            ways.callback(children.close)
            operator = cls(installation, namespaces, proxy, children, workspace.folder, ways)
            operator.start()
            yield operator
            operator.now.check()

    @property
    def now(self) -> Operator:
        assert self._now is not None
        return self._now

    def start(self) -> None:
        """Start one."""
        url = self._ways.enter_context(self.installation.store.url())
        options = {
            "namespaces": ",".join(self.namespaces),
            "leader_election": "false",
            "lease_seconds": "6",
            "pod_database_url": "",
            "pod_database_secret": postgres.POD_SECRET,
            "runtime_image": self.installation.image.name,
            "image_pull_policy": "IfNotPresent",
        }
        kubeconfig = self.proxy.kubeconfig(self.folder / "kubeconfig")
        self._now = Operator(self.children, kubeconfig, url, self.namespaces[0], options)

    def to_die_at(self, on: Requests, *, done: bool) -> Rule:
        """Have it wait at the next of these requests, carried out or not, until `die`."""
        return self.proxy.fault(KeepAnswer() if done else Stall(), on, times=1)

    def die(self, at: Rule) -> None:
        """Wait until it has come to that request and kill it."""
        eventually(lambda: at.struck, 60)
        self.now.check()
        self.now.child.kill()
        # What is held goes on when the fault ends: by then its client must be known to have gone.
        eventually(lambda: not any(exchange.open for exchange in self.proxy.seen_of(at.on) if exchange.struck))
        at.end()
