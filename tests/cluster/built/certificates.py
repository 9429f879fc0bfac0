"""The certificates and kubeconfigs of one cluster, from an authority that is thrown away with it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

__all__ = ["Authority"]


class Authority:
    """Signs for one cluster; keeps what it signs in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        folder.mkdir()
        self.certificate = folder / "ca.crt"
        self._authority.cert_pem.write_to_path(str(self.certificate))

    def server(self, name: str, identities: Sequence[str]) -> tuple[Path, Path]:
        """A server's certificate and key, good for `identities` (names and addresses)."""
        return self._keep(name, self._authority.issue_cert(*identities, common_name=name))

    def client(self, name: str, user: str, group: str | None = None) -> tuple[Path, Path]:
        """A client's certificate and key: the API server sees `user` in `group`."""
        # Without a name of its own the certificate would hold an empty list of names, which Go does not read.
        return self._keep(name, self._authority.issue_cert(name, common_name=user, organization_name=group))

    def kubeconfig(self, name: str, server: str, certificate: Path, key: Path) -> Path:
        """A kubeconfig for the API server at the URL `server`, with its certificates inside."""
        named = {"name": "perdure"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {**named, "cluster": {"server": server, "certificate-authority-data": _data(self.certificate)}}
            ],
            "users": [
                {**named, "user": {"client-certificate-data": _data(certificate), "client-key-data": _data(key)}}
            ],
            "contexts": [{**named, "context": {"cluster": "perdure", "user": "perdure"}}],
            "current-context": "perdure",
        }
        path = self.folder / f"{name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def token_keys(self) -> tuple[Path, Path]:
        """The public and the private key of service account tokens."""
        key = ec.generate_private_key(ec.SECP256R1())
        public, private = self.folder / "tokens.pub", self.folder / "tokens.key"
        public.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        private.touch(mode=0o600)
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return public, private

    def _keep(self, name: str, issued: trustme.LeafCert) -> tuple[Path, Path]:
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        key.touch(mode=0o600)
        issued.private_key_pem.write_to_path(str(key))
        certificate.write_bytes(b"".join(part.bytes() for part in issued.cert_chain_pems))
        return certificate, key


def _data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
