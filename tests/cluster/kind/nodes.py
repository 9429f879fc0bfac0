"""kind's nodes: their services, the whole node as a machine that is killed, paused and started, and their network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from .engines import Engine

__all__ = ["Machine", "Service", "cut_off", "lay_routes"]

_PODS = "10.244.0.0/16"  # kind's default


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a node's systemd: kubelet or containerd."""

    engine: Engine
    node: str
    name: str

    @property
    def running(self) -> bool:
        return self._systemctl("show", "--property=ActiveState", "--value").strip() == "active"

    def start(self) -> None:
        self._systemctl("start")

    def kill(self) -> None:
        self._signal("KILL")
        self._systemctl("stop")  # else systemd starts it again after a second

    def restart(self) -> None:
        self.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._signal("STOP")
        try:
            yield
        finally:
            self._signal("CONT")

    def _signal(self, name: str) -> None:
        self._systemctl("kill", f"--signal={name}", "--kill-whom=main")

    def _systemctl(self, *command: str) -> str:
        return self.engine.run(self.engine.program, "exec", self.node, "systemctl", *command, f"{self.name}.service")


@dataclass(frozen=True, slots=True)
class Machine:
    """A whole node: its container. Started again it may have another address."""

    engine: Engine
    node: str
    pods: Mapping[str, str]
    """As for `lay_routes`, where kindnet does not."""

    @property
    def running(self) -> bool:
        return self._engine("inspect", "--format={{.State.Status}}") in ("running", "paused")

    def start(self) -> None:
        self._engine("start")
        lay_routes(self.engine, self.pods)

    def kill(self) -> None:
        self._engine("kill")

    def restart(self) -> None:
        self.kill()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        self._engine("pause")
        try:
            yield
        finally:
            self._engine("unpause")

    def _engine(self, *command: str) -> str:
        return self.engine.run(self.engine.program, *command, self.node).strip()


@contextmanager
def cut_off(engine: Engine, node: str) -> Iterator[None]:
    """Cut a node and its pods off from all others, in the node itself; what runs on it runs on."""
    rules = ("PREROUTING --in-interface eth0 --jump DROP", "POSTROUTING --out-interface eth0 --jump DROP")

    def change(how: str) -> None:
        for rule in rules:
            for program in ("iptables", "ip6tables"):
                engine.run(engine.program, "exec", node, program, "--wait", "--table=mangle", how, *rule.split())

    change("--insert")
    try:
        yield
    finally:
        change("--delete")


def lay_routes(engine: Engine, pods: Mapping[str, str]) -> None:
    """Do what kindnet does, given the range of addresses of each node's pods.

    Each node knows by which other to reach whose pods, and lends them its own address for what is not a pod.
    """
    asked = "--format={{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    at = {node: engine.run(engine.program, "inspect", asked, node).strip() for node in pods}
    for node in (node for node in pods if at[node]):
        lent = f"POSTROUTING --source {pods[node]} ! --destination {_PODS} --jump MASQUERADE"
        iptables = "iptables --wait --table nat"
        script = [f"{iptables} --check {lent} 2>/dev/null || {iptables} --append {lent}"]
        script += [f"ip route replace {pods[other]} via {at[other]}" for other in pods if at[other] and other != node]
        engine.run(engine.program, "exec", node, "sh", "-c", "\n".join(["set -e", *script]))
