"""The Kubernetes API as tests use it: paths and JSON, as the API's own reference has them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3 import BaseHTTPResponse

__all__ = ["TIMEOUT", "Api", "ApiException", "Json", "core"]

Json = dict[str, Any]

_PATCH = "application/merge-patch+json"
TIMEOUT = 30.0  # seconds


class Api:
    """A client by a kubeconfig that waits `timeout` seconds for an answer, and sends every request once.

    Every method raises ApiException for an answer of 400 or more, but for what `find` does not find, and urllib3's
    HTTPError where there is no answer.
    """

    def __init__(self, kubeconfig: Path, timeout: float = TIMEOUT) -> None:
        settings = client.Configuration()
        settings.retries = False
        self.client = config.new_client_from_config(str(kubeconfig), client_configuration=settings)
        self._timeout = timeout

    def get(self, path: str, **query: str) -> Json:
        """One object, or a list."""
        return self._call("GET", path, query)

    def find(self, path: str, **query: str) -> Json | None:
        """One object, or None where there is none."""
        try:
            return self.get(path, **query)
        except ApiException as error:
            if error.status == 404:
                return None
            raise

    def create(self, path: str, body: Json) -> Json:
        """Create an object in the collection `path`, or act on an object's subresource; the object as it is then."""
        return self._call("POST", path, {}, body)

    def patch(self, path: str, body: Json, content_type: str = _PATCH, **query: str) -> Json:
        """Change an object, by a merge patch if nothing else is said."""
        return self._call("PATCH", path, query, body, content_type)

    def apply(self, path: str, body: Json, manager: str = "tests") -> Json:
        """Create or change an object by server-side apply."""
        return self.patch(path, body, "application/apply-patch+yaml", fieldManager=manager, force="true")

    def delete(self, path: str, body: Json | None = None, **query: str) -> Json:
        """Delete an object, or with a selector several; `body` are DeleteOptions."""
        return self._call("DELETE", path, query, body)

    def text(self, path: str, **query: str) -> str:
        """What is no JSON: logs, health, metrics."""
        return self._answer("GET", path, query).decode()

    def opened(self, path: str, **query: str) -> BaseHTTPResponse:
        """An answer that comes bit by bit, a followed log or a watch; a context manager that closes it."""
        url = f"{self.client.configuration.host}{path}?{urlencode(query)}"
        headers: dict[str, str] = {}
        self.client.update_params_for_auth(headers, [], ["BearerToken"], path, "GET", None)
        pool = self.client.rest_client.pool_manager
        return pool.request("GET", url, headers=headers, preload_content=False, timeout=self._timeout)

    def close(self) -> None:
        """Close its connections."""
        self.client.close()
        self.client.rest_client.pool_manager.clear()  # which its own close leaves to the garbage collector

    def _call(self, method: str, path: str, query: dict[str, str], body: Json | None = None, content: str = "") -> Any:
        return json.loads(self._answer(method, path, query, body, content))

    def _answer(
        self, method: str, path: str, query: dict[str, str], body: Json | None = None, content: str = ""
    ) -> bytes:
        headers = {"Accept": "application/json", "Content-Type": content or "application/json"}
        self.client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self.client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        response = self.client.call_api(method, url, headers, body, _request_timeout=self._timeout)
        data: bytes = response.read()
        if response.status >= 400:
            raise ApiException.from_response(http_resp=response, body=data.decode(), data=None)
        return data


def core(api: Api) -> client.CoreV1Api:
    """The typed client, for what is more than a request and an answer: exec, port-forward, watches."""
    return client.CoreV1Api(api.client)
