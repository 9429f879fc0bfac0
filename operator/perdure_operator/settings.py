"""The operator's settings, from flags and from variables PERDURE_OPERATOR_*; flags take precedence."""

from __future__ import annotations

import argparse
import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from perdure.pod.environment import DEFAULT_LEASE_SECONDS

from .api.names import RUNTIME_USER
from .api.untyped import mapping
from .api.validation import refusals
from .decide.observed import DISRUPTION_LIMIT
from .errors import Misconfigured

__all__ = ["Settings"]

_PREFIX = "PERDURE_OPERATOR_"
_DIRECT = "PERDURE_DATABASE_DIRECT_URL"
_SECRETS = ("database_url", "database_direct_url", "pod_database_url")
_OWN_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_SHORTEST_RESYNC = 1.0

_Names = Annotated[tuple[str, ...], Field(default=())]
_SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]


def _own_namespace() -> str | None:
    try:
        return _OWN_NAMESPACE.read_text().strip() or None
    except OSError:
        return None


def _identity() -> str:
    """Of this process alone: a restarted container has the same pod name."""
    return f"{os.environ.get('POD_NAME') or socket.gethostname()}-{token_hex(4)}"


class Settings(BaseModel):
    """Each field is a flag `--like-this` and a variable PERDURE_OPERATOR_LIKE_THIS; lists are separated by commas."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    database_url: str = Field(repr=False)
    """The store, as a libpq URL. Also PERDURE_DATABASE_URL."""

    database_direct_url: str | None = Field(default=None, repr=False)
    """The store without a pooler in between, to be notified on. Also PERDURE_DATABASE_DIRECT_URL."""

    database_connections: int = Field(default=4, ge=1, le=100)
    """Connections for statements; two more watch and listen."""

    pod_database_secret: str | None = None
    """The Secret in each Workflow's namespace that has the URL of the store for its pods."""

    pod_database_secret_key: str = "url"
    """The key of that Secret."""

    pod_database_url: str | None = Field(default=None, repr=False)
    """The store for pods, in plain text in their manifests: for tests."""

    pod_database_tls_mode: _SslMode | None = None
    """How pods connect to the store, as libpq's sslmode. A mode in the URL takes precedence."""

    pod_database_ca_secret: str | None = None
    """The Secret in each Workflow's namespace with the authority that signed the store's certificate."""

    pod_database_ca_config_map: str | None = None
    """The ConfigMap that has it instead."""

    pod_database_ca_key: str = "ca.crt"
    """The key of either."""

    pod_database_client_secret: str | None = None
    """The Secret of type kubernetes.io/tls in each Workflow's namespace with a certificate by which its pods log in."""

    runtime_image: str = "perdure"
    """Runs Workflows that name no image."""

    pod_user: int | None = Field(default=RUNTIME_USER, ge=1)
    """The user and group, by number, of pods that run that image; `platform`: the platform gives them one."""

    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] | None = None
    """Of pods; without, as Kubernetes has it."""

    image_pull_secrets: _Names
    """Of pods: names of Secrets in the Workflow's namespace."""

    lease_seconds: float = Field(default=DEFAULT_LEASE_SECONDS, gt=0)
    """An attempt whose heartbeat rests for so long is taken for dead."""

    pod_preparation_seconds: float = Field(default=3600, ge=60)
    """How long a node may pull an image and mount volumes for an attempt, before another one is made."""

    pod_service_account: str | None = Field(default=None, pattern=r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$")
    """The service account of pods whose Workflow names none in its podTemplate; it must be in its namespace."""

    pod_template: dict[str, Any] = Field(default_factory=dict)
    """A podTemplate as JSON, over which each Workflow's own is laid."""

    active_deadline_seconds: int | None = Field(default=None, ge=1)
    """The deadline of Workflows that name none."""

    disruption_limit: int = Field(default=DISRUPTION_LIMIT, ge=0, le=1_000_000)
    """How many disruptions in a row, without a new checkpoint between them, a run survives."""

    succeeded_pods_ttl_seconds: float = Field(default=600, ge=0)
    """How long the pods of a run stay that succeeded."""

    failed_pods_history_limit: int = Field(default=3, ge=0)
    """How many pods of another run stay for their logs, the newest."""

    ttl_seconds_after_finished: float | None = Field(default=None, ge=0)
    """Seconds that finished Workflows without a time to live are kept; none: for ever. GitOps tools recreate them."""

    successful_runs_history_limit: int | None = Field(default=None, ge=0)
    """How many Workflows of a namespace are kept that succeeded, the newest; none: all. Mind GitOps tools, as above."""

    failed_runs_history_limit: int | None = Field(default=None, ge=0)
    """How many are kept that did not."""

    namespaces: _Names
    """Those that are watched; none: all."""

    own_namespace: str | None = Field(default_factory=_own_namespace)
    """The namespace of the operator's pod. By default it is read from its service account."""

    workflows_in_own_namespace: bool = False
    """Run Workflows there, too: their pods can have the operator's account and read its Secrets."""

    cluster_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$")
    """A permanent id of this cluster among those that share the store; none: the UID of the namespace kube-system."""

    instance: str | None = Field(default=None, pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,38}[A-Za-z0-9])?$")
    """Runs Workflows with the label perdure.io/instance of this value; none: those without that label."""

    max_active_runs: int | None = Field(default=None, ge=1)
    """How many runs may be active at once; the others wait."""

    max_active_runs_per_namespace: int | None = Field(default=None, ge=1)
    """How many of them in one namespace."""

    namespace_weights: Mapping[str, Annotated[int, Field(ge=1, le=1000)]] = Field(default_factory=dict)
    """How namespaces share those places: `team-a=3,team-b=2`; others count 1."""

    start_patience_seconds: float = Field(default=60, ge=1)
    """How long an attempt that cannot start keeps its place while others wait; for want of a node, five times that."""

    kubeconfig: Path | None = None
    """Credentials outside of a cluster; without, those of the pod, else what kubectl would use."""

    leader_election: bool = True
    """Hold a Lease while working, so that several operators can stand by."""

    leader_election_namespace: str = Field(default_factory=lambda: _own_namespace() or "default")
    """Where the Lease is."""

    leader_election_name: str = "perdure-operator"
    """The Lease."""

    identity: str = Field(default_factory=_identity)
    """Who this is, in the Lease and in events."""

    workers: int = Field(default=32, ge=1, le=1000)
    """How many Workflows are reconciled at a time."""

    resync_seconds: float = Field(default=450, ge=_SHORTEST_RESYNC)
    """From one comparison of everything to the next, on average."""

    retention_days: float = Field(default=7, ge=0)
    """How many days the rows of a run are kept after its Workflow was deleted."""

    http_port: int = Field(default=8080, ge=0, le=65535)
    """Of /livez and /readyz; 0: any."""

    metrics: Literal["authorized", "open", "none"] = "authorized"
    """Access to /metrics: by HTTPS for accounts with the right to get that path; open, beside /livez; or none."""

    metrics_port: int = Field(default=8443, ge=0, le=65535)
    """Of /metrics by HTTPS; 0: any."""

    metrics_certificate: Path | None = None
    """The folder with tls.crt and tls.key for that; without, the operator makes a certificate for itself."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """The lowest level that is logged."""

    log_format: Literal["json", "text"] = "json"
    """A line is a JSON object, or key=value."""

    @field_validator("namespaces", "image_pull_secrets", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("namespace_weights", mode="before")
    @classmethod
    def _weights(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        given = [part.partition("=") for part in value.split(",") if part.strip()]
        return {name.strip(): weight.strip() for name, _, weight in given}

    @field_validator("pod_user", mode="before")
    @classmethod
    def _user(cls, value: Any) -> Any:
        return None if value == "platform" else value

    @field_validator("pod_template", mode="before")
    @classmethod
    def _json(cls, value: Any) -> Any:
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("pod_template")
    @classmethod
    def _acceptable(cls, value: dict[str, Any]) -> dict[str, Any]:
        problems = refusals(value)
        if "terminationGracePeriodSeconds" in mapping(value.get("spec")):
            problems = [*problems, "terminationGracePeriodSeconds is each Workflow's own"]
        if problems:
            raise ValueError("; ".join(problems))
        return value

    @classmethod
    def parse(cls, arguments: Sequence[str], environ: Mapping[str, str]) -> Settings:
        """Read flags and variables.

        Raises:
            Misconfigured: some are wrong; the message names each.
            SystemExit: a flag is unknown, or `--help` was given.
        """
        variables = {name: environ.get(_PREFIX + name.upper()) for name in cls.model_fields}
        variables["database_url"] = variables["database_url"] or environ.get("PERDURE_DATABASE_URL")
        variables["database_direct_url"] = variables["database_direct_url"] or environ.get(_DIRECT)
        told = {**variables, **{name: value for name, value in _flags(arguments).items() if value is not None}}
        try:
            settings = cls.model_validate({name: value for name, value in told.items() if value})
        except ValidationError as error:
            problems = [f"--{'-'.join(map(str, e['loc'])).replace('_', '-')}: {e['msg']}" for e in error.errors()]
            raise Misconfigured("; ".join(problems)) from None  # its own text shows the values, secrets among them
        if (settings.pod_database_secret is None) == (settings.pod_database_url is None):
            raise Misconfigured("--pod-database-secret: pods need to know the store; name the Secret that has its URL")
        if settings.pod_database_ca_secret and settings.pod_database_ca_config_map:
            raise Misconfigured("--pod-database-ca-secret: name a Secret or a ConfigMap, not both")
        return settings


def _flags(arguments: Sequence[str]) -> dict[str, str | None]:
    parser = argparse.ArgumentParser(
        prog="perdure-operator",
        description="Runs the Workflow resources of a cluster. PERDURE_DATABASE_URL has the URL of the store.",
        epilog=f"Each flag is also a variable: --log-level is {_PREFIX}LOG_LEVEL. Lists are separated by commas.",
    )
    for name, field in Settings.model_fields.items():
        if name not in _SECRETS:  # a command line can be read by other users
            shown = "" if field.default in (None, ()) or field.is_required() else f" Default: {field.get_default()}."
            described = f"{field.description}{'' if field.default_factory else shown}"
            parser.add_argument(f"--{name.replace('_', '-')}", metavar="VALUE", help=described.replace("%", "%%"))
    return vars(parser.parse_args(arguments))
