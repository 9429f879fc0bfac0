"""The Kubernetes API: paths and JSON in, JSON or an error of ours out. It alone knows the client library."""

from __future__ import annotations

from .client import (
    ACCESS_REVIEWS,
    CONFIG_MAPS,
    EVENTS,
    LEASES,
    NAMESPACES,
    PODS,
    TOKEN_REVIEWS,
    WORKFLOWS,
    Calls,
    Json,
    Kube,
    Resource,
)
from .session import Credentials

__all__ = [
    "ACCESS_REVIEWS",
    "CONFIG_MAPS",
    "EVENTS",
    "LEASES",
    "NAMESPACES",
    "PODS",
    "TOKEN_REVIEWS",
    "WORKFLOWS",
    "Calls",
    "Credentials",
    "Json",
    "Kube",
    "Resource",
]
