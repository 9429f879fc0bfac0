"""The network of a cluster: a link from the machine, a bridge, and a network namespace for each node.

    machine ── link ── control plane (bridge 172.31.0.1) ── node-1 (172.31.0.11) ── its pods (10.244.1.0/24)
                                                       └── node-2 (172.31.0.12) ── its pods (10.244.2.0/24)

Nothing leads out of the machine. The nodes reach each other's pods through the control plane's namespace, so that a
node whose link is down is cut off from everything.
"""

from __future__ import annotations

import ipaddress
import json
import random
import subprocess
from dataclasses import dataclass

from .enclosure import Enclosure

__all__ = ["CONTROL_PLANE", "POD_RANGE", "SERVICE_RANGE", "NodeNetwork", "cut", "lay", "node_network", "reconnect"]

CONTROL_PLANE = "172.31.0.1"
SERVICE_RANGE = "10.96.0.0/16"
POD_RANGE = "10.244.0.0/16"

# Set aside for measuring between hosts (RFC 2544), so that no network that a machine is in has them.
_LINKS = ipaddress.ip_network("198.18.0.0/15")


@dataclass(frozen=True, slots=True)
class NodeNetwork:
    """The addresses of a node: its own and the range of its pods."""

    address: str
    pod_range: str


def node_network(number: int) -> NodeNetwork:
    """The addresses of the node of that number, counted from 1."""
    return NodeNetwork(f"172.31.0.{10 + number}", f"10.244.{number}.0/24")


def lay(enclosure: Enclosure, nodes: dict[str, NodeNetwork]) -> str:
    """Lay the network and return the address at which the machine reaches the control plane."""
    ours, theirs = _free_link()
    for command in (
        f"link add {enclosure.link} type veth peer name machine netns {enclosure.init}",
        f"address add {ours}/30 dev {enclosure.link}",
        f"link set {enclosure.link} up",
    ):
        subprocess.run(["ip", *command.split()], check=True)
    script = f"""
        set -e
        forward() {{ echo 1 >/proc/sys/net/ipv4/ip_forward; }}
        forward
        ip link set lo up
        ip address add {theirs}/30 dev machine
        ip link set machine up
        ip link add nodes type bridge
        ip address add {CONTROL_PLANE}/24 dev nodes
        ip link set nodes up
        """
    for name, node in nodes.items():
        script += f"""
        ip netns add {name}
        ip link add {name} type veth peer name eth0 netns {name}
        ip link set {name} master nodes up
        ip -n {name} link set lo up
        ip -n {name} address add {node.address}/24 dev eth0
        ip -n {name} link set eth0 up
        ip -n {name} route add default via {CONTROL_PLANE}
        ip route add {node.pod_range} via {node.address}
        nsenter --net=/run/netns/{name} sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
        """
    enclosure.run("sh", "-c", script)
    return theirs


def cut(enclosure: Enclosure, node: str) -> None:
    """Cut a node off from everything; what runs on it runs on."""
    enclosure.run("ip", "link", "set", node, "down")


def reconnect(enclosure: Enclosure, node: str) -> None:
    """Let a node that was cut off back in."""
    enclosure.run("ip", "link", "set", node, "up")


def _free_link() -> tuple[str, str]:
    """Two addresses for a link, in a network that no other link of the machine has."""
    shown = subprocess.run(["ip", "-json", "address", "show"], check=True, capture_output=True, text=True).stdout
    taken = [ipaddress.ip_address(at["local"]) for link in json.loads(shown) for at in link["addr_info"]]
    while True:
        link = ipaddress.ip_network((int(_LINKS.network_address) + 4 * random.randrange(2**15), 30))
        if not any(address in link for address in taken):
            ours, theirs = link.hosts()
            return str(ours), str(theirs)
