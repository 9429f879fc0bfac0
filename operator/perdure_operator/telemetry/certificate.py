"""The certificate for serving the metrics: a given one, which may be replaced at any time, or a self-signed one.

A self-signed one encrypts the connection, and so protects tokens. Only a given one authenticates the operator, too.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import Misconfigured

__all__ = ["Certificate"]

_log = logging.getLogger("perdure.operator.metrics")

_CERTIFICATE, _KEY = "tls.crt", "tls.key"  # as a Secret of type kubernetes.io/tls has them
_LOOK_AGAIN = 30.0
_LASTS = 3650
"""Days: longer than any process."""

_SELF_MADE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=perdure-operator"
    f" -days {_LASTS} -out {_CERTIFICATE} -keyout {_KEY}"
).split()


class Certificate:
    """In the folder `given`, or self-made; `context` serves by it."""

    def __init__(self, given: Path | None) -> None:
        self._given = given
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._loaded: tuple[int, int] | None = None

    def load(self) -> None:
        """Take it up for the first time.

        Raises:
            Misconfigured: the given one cannot be read, or none can be made.
        """
        if self._given is None:
            self._make()
            return
        try:
            self._take_up(self._given)
        except (OSError, ssl.SSLError) as error:
            what = f"{self._given} has no {_CERTIFICATE} and {_KEY}"
            raise Misconfigured(f"--metrics-certificate: {what}: {error}") from error

    def _make(self) -> None:
        with TemporaryDirectory() as folder:
            try:
                subprocess.run(_SELF_MADE, cwd=folder, check=True, capture_output=True, timeout=30)
                self._take_up(Path(folder))
            except (OSError, subprocess.SubprocessError, ssl.SSLError) as error:
                what = f"name one, for none can be made here ({error}), or say --metrics open or none"
                raise Misconfigured(f"--metrics-certificate: {what}") from error

    async def keep(self) -> None:
        """Take up a given one anew whenever it is replaced; until cancelled."""
        while self._given is not None:
            await asyncio.sleep(_LOOK_AGAIN)
            with suppress(OSError):
                if self._version(self._given) == self._loaded:
                    continue
            try:
                self._take_up(self._given)
            except (OSError, ssl.SSLError) as error:  # it is just being replaced
                _log.warning("the certificate for metrics cannot be read now: %s", error)
            else:
                _log.info("the certificate for metrics is another one")

    def _take_up(self, folder: Path) -> None:
        version = self._version(folder)
        self.context.load_cert_chain(folder / _CERTIFICATE, folder / _KEY)
        self._loaded = version

    @staticmethod
    def _version(folder: Path) -> tuple[int, int]:
        return (folder / _CERTIFICATE).stat().st_mtime_ns, (folder / _KEY).stat().st_mtime_ns
