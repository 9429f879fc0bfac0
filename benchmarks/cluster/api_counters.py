"""What an API server has been asked so far, by its own counters."""

from __future__ import annotations

import re
from collections import Counter

from tests.cluster.api import Api

__all__ = ["Requests", "requests", "writes"]

Requests = Counter[str]
"""Numbers of requests, by verb, resource and code: `APPLY workflows/status 200`."""

_REQUEST = re.compile(r"(?m)^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_WRITES = ("POST ", "PUT ", "PATCH ", "APPLY ", "DELETE ")
_STORES_NOTHING = re.compile(r"reviews |/token |/exec |/eviction ")


def requests(api: Api) -> Requests:
    """All requests that were answered, whoever sent them."""
    counted: Requests = Counter()
    for found in _REQUEST.finditer(api.text("/metrics")):
        labels = dict(_LABEL.findall(found["labels"]))
        subresource = f"/{labels['subresource']}" if labels.get("subresource") else ""
        counted[f"{labels['verb']} {labels['resource']}{subresource} {labels['code']}"] += int(float(found["count"]))
    return counted


def writes(asked: Requests) -> Requests:
    """Those that change what is stored; without Leases, which are renewed whatever goes on."""
    return Counter(
        {
            what: count
            for what, count in asked.items()
            if what.startswith(_WRITES) and "leases" not in what and not _STORES_NOTHING.search(what)
        }
    )
