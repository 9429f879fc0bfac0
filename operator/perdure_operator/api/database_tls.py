"""TLS between a pod and the store: variables of `perdure exec`, and the files that they name.

The variables are the runtime's own, not libpq's, which would apply to other databases of the workflow, too. A
podTemplate cannot replace them. Files are mounted: the authorities of cloud providers are too long for a variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["DatabaseTls"]

_FOLDER: Final = "/etc/perdure/database"
_CA: Final = "perdure-database-ca"
_CLIENT: Final = "perdure-database-client"
_CERTIFICATE, _KEY = "tls.crt", "tls.key"
_FOR_THE_GROUP = 0o440  # libpq rejects a key that other users may read


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseTls:
    """The operator's settings for TLS to the store. The store's URL takes precedence.

    Attributes:
        mode: libpq's sslmode; None leaves it to the URL.
        ca_secret: a Secret in the Workflow's namespace with the authority that signed the server's certificate.
        ca_config_map: a ConfigMap that has it instead.
        ca_key: the key of either.
        client_secret: a Secret of type kubernetes.io/tls with a certificate to log in by.
    """

    mode: str | None = None
    ca_secret: str | None = None
    ca_config_map: str | None = None
    ca_key: str = "ca.crt"
    client_secret: str | None = None

    def variables(self) -> list[dict[str, str]]:
        """Variables of the container."""
        told = {
            "PERDURE_DATABASE_SSLMODE": self.mode,
            "PERDURE_DATABASE_SSLROOTCERT": f"{_FOLDER}/ca/ca.crt" if self._authority() else None,
            "PERDURE_DATABASE_SSLCERT": f"{_FOLDER}/client/{_CERTIFICATE}" if self.client_secret else None,
            "PERDURE_DATABASE_SSLKEY": f"{_FOLDER}/client/{_KEY}" if self.client_secret else None,
        }
        # Unset variables are set to be empty, which has the same effect. Otherwise a template's `envFrom` could set
        # them from its ConfigMap; variables that the container names take precedence over it.
        return [{"name": name, "value": value or ""} for name, value in told.items()]

    def mounts(self) -> list[dict[str, Any]]:
        """Mounts of the container."""
        ca = {"name": _CA, "mountPath": f"{_FOLDER}/ca", "readOnly": True}
        client = {"name": _CLIENT, "mountPath": f"{_FOLDER}/client", "readOnly": True}
        return [*([ca] if self._authority() else []), *([client] if self.client_secret else [])]

    def volumes(self) -> list[dict[str, Any]]:
        """Volumes of the pod, with only the named files of each Secret or ConfigMap."""
        made: list[dict[str, Any]] = []
        if authority := self._authority():
            made.append({"name": _CA, **authority})
        if self.client_secret:
            items = [{"key": key, "path": key} for key in (_CERTIFICATE, _KEY)]
            secret = {"secretName": self.client_secret, "items": items, "defaultMode": _FOR_THE_GROUP}
            made.append({"name": _CLIENT, "secret": secret})
        return made

    def _authority(self) -> Mapping[str, Any] | None:
        items = [{"key": self.ca_key, "path": "ca.crt"}]
        if self.ca_secret:
            return {"secret": {"secretName": self.ca_secret, "items": items}}
        return {"configMap": {"name": self.ca_config_map, "items": items}} if self.ca_config_map else None
