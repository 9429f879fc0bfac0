"""The switches of the chart's values, and so few sets of values that each two positions of two switches meet in one.

What goes wrong in a template goes wrong with one value, or with two that were never tried together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from itertools import combinations
from typing import Any

__all__ = ["SWITCHES", "meeting", "meetings", "values_of"]

SWITCHES: Mapping[str, Sequence[Any]] = {
    "commonLabels": ({}, {"cost-centre": "17"}),
    "crds.enabled": (True, False),
    "database.directKey": ("", "direct-uri"),
    "database.existingSecret": ("", "store"),
    "database.migrate": (True, False),
    "database.migrateSecret": ("", "store-owner"),
    "database.tls.ca": ({}, {"secret": "store-ca"}, {"configMap": "store-ca", "key": "root.pem"}),
    "database.tls.clientSecret": ("", "store-client"),
    "database.tls.mode": ("", "require", "verify-full"),
    "fullnameOverride": ("", "durable"),
    "global.imagePullSecrets": ([], ["all", {"name": "pull"}]),
    "global.imageRegistry": ("", "mirror.example:5000"),
    "image.digest": ("", f"sha256:{'0' * 64}"),
    "image.tag": ("", "1.2.3"),
    "image.pullSecrets": ([], ["pull"]),
    "metrics.access": (None, "authorized", "open", "none"),
    "metrics.certificateSecret": ("", "metrics-certificate"),
    "metrics.readers": ([], [{"name": "prometheus-k8s", "namespace": "monitoring"}]),
    "metrics.dashboard.enabled": (False, True),
    "metrics.prometheusRule.enabled": (False, True),
    "metrics.serviceMonitor.enabled": (False, True),
    "networkPolicy.enabled": (False, True),
    "networkPolicy.metricsFrom": ([], [{"namespaceSelector": {}}]),
    "networkPolicy.workflows.egress": ([], [{"ports": [{"port": 443}]}]),
    "networkPolicy.workflows.namespaces": ([], ["team-a"], ["here", "team-b"]),
    "operator.clusterId": ("", "east-1"),
    "operator.instance": ("", "blue"),
    "operator.namespaces": ([], ["team-a"], ["here", "team-b"]),
    "operator.replicas": (1, 2, 3),
    "operator.serviceAccount.create": (True, False),
    "operator.serviceAccount.name": ("", "runner"),
    "operator.settings.maxActiveRuns": (None, 5),
    "operator.topologySpreadConstraints": (
        [],
        [
            {
                "maxSkew": 1,
                "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
            }
        ],
    ),
    "podSecurityContext": ({}, {"runAsUser": None, "runAsGroup": None, "fsGroup": None}),
    "postgres.storage.className": ("", "fast"),
    "proxy.httpsProxy": ("", "http://proxy.example:3128"),
    "rbac.aggregate": (None, True, False),
    "rbac.create": (True, False),
    "test.namespace": ("", "team-a"),
    "workflows.databaseSecret.key": ("url", "uri"),
    "workflows.databaseSecret.namespaces": ([], ["team-a"], ["here", "team-b"]),
    "workflows.databaseTls.ca": ({}, {"secret": "pods-ca"}, {"configMap": "pods-ca", "key": "root.pem"}),
    "workflows.databaseTls.clientSecret": ("", "pods-client"),
    "workflows.databaseTls.mode": ("", "verify-full"),
    "workflows.image.digest": ("", f"sha256:{'1' * 64}"),
    "workflows.image.repository": ("", "registry.example/durable"),
    "workflows.image.tag": ("", "4.5.6"),
    "workflows.inReleaseNamespace": (False, True),
    "workflows.imagePullPolicy": ("", "Always"),
    "workflows.imagePullSecrets": ([], ["pull", "more"]),
    "workflows.user": (10001, None),
}

Meeting = frozenset[tuple[str, int]]
"""Two switches, each with the number of a position."""


def meetings(switches: Mapping[str, Sequence[Any]]) -> set[Meeting]:
    """Every two positions of two switches."""
    return {
        frozenset({(one, here), (other, there)})
        for one, other in combinations(switches, 2)
        for here in range(len(switches[one]))
        for there in range(len(switches[other]))
    }


def meeting(switches: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, int]]:
    """Positions of all switches, again and again, until each two have met; the same ones each time."""
    left = meetings(switches)
    while left:
        row = _row(switches, left, dict(min(left, key=sorted)))
        left -= _met(row)
        yield row


def values_of(row: Mapping[str, int]) -> dict[str, Any]:
    """The chart's values with the switches in these positions."""
    values: dict[str, Any] = {}
    for path, position in row.items():
        *parents, name = path.split(".")
        group = values
        for parent in parents:
            group = group.setdefault(parent, {})
        group[name] = SWITCHES[path][position]
    return deepcopy(values)


def _row(switches: Mapping[str, Sequence[Any]], left: set[Meeting], row: dict[str, int]) -> dict[str, int]:
    """A row that begins so: next comes always what newly meets the most of what is there."""
    open_meetings: Counter[tuple[str, int]] = Counter(place for pair in left for place in pair)
    while len(row) < len(switches):
        places = [(name, at) for name in switches if name not in row for at in range(len(switches[name]))]
        name, at = max(places, key=lambda place: (_new(left, row, place), open_meetings[place]))
        row[name] = at
    return row


def _new(left: set[Meeting], row: Mapping[str, int], place: tuple[str, int]) -> int:
    return sum(frozenset({place, other}) in left for other in row.items())


def _met(row: Mapping[str, int]) -> set[Meeting]:
    return {frozenset(pair) for pair in combinations(row.items(), 2)}
