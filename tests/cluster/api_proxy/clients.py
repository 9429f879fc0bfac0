"""Clients of the proxy and of the API server behind it: requests, and watches that are read as they come."""

from __future__ import annotations

import base64
import json
import ssl
import threading
from pathlib import Path
from typing import Any

import urllib3
import yaml
from kubernetes import client, config
from kubernetes import watch as sync_watch

from tests.cluster.faults.api_proxy import Requests

MINE = "api-proxy=test"  # a namespace has objects of others, too
WATCH = Requests(verb="watch", resource="configmaps")


class Api:
    """The synchronous client, without retries unless they are asked for."""

    def __init__(self, kubeconfig: Path, **options: Any) -> None:
        settings = client.Configuration()
        config.load_kube_config(str(kubeconfig), client_configuration=settings)
        settings.retries = options.get("retries", False)
        self.client = client.ApiClient(settings)
        self.core: Any = client.CoreV1Api(self.client)

    def raw(self, path: str, **options: Any) -> urllib3.BaseHTTPResponse:
        """GET without any part of the client that would read the answer."""
        headers = {**authorization(self.client.configuration), **options.pop("headers", {})}
        url = self.client.configuration.host + path
        options = {"decode_content": False, "retries": False, **options}
        return self.client.rest_client.pool_manager.request("GET", url, headers=headers, **options)

    def create(self, namespace: str, name: str, **data: str) -> None:
        meta = {"name": name, "labels": dict([MINE.split("=")])}
        self.core.create_namespaced_config_map(namespace, {"metadata": meta, "data": data})

    def names(self, namespace: str, **options: Any) -> set[str]:
        items = self.core.list_namespaced_config_map(namespace, label_selector=MINE, **options).items
        return {item.metadata.name for item in items}

    def close(self) -> None:
        self.client.rest_client.pool_manager.clear()
        self.client.close()


def authorization(settings: client.Configuration) -> dict[str, str]:
    """The header by which a client tells who it is; none if that is a certificate."""
    setting = settings.auth_settings().get("BearerToken")
    return {} if setting is None else {str(setting["key"]): str(setting["value"])}


def trust(kubeconfig: Path) -> ssl.SSLContext:
    cluster = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]
    return ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())


class Watching:
    """A watch that a thread reads to its end."""

    def __init__(self, api: Api, namespace: str) -> None:
        self.events: list[tuple[str, str | int]] = []
        self.ended: str | Exception | None = None
        self._answer = api.core.list_namespaced_config_map(
            namespace, watch=True, label_selector=MINE, _preload_content=False
        )
        self.thread = threading.Thread(target=self._read)
        self.thread.start()

    def _read(self) -> None:
        try:
            for line in sync_watch.watch.iter_resp_lines(self._answer):
                event = json.loads(line)
                what = event["object"]
                self.events.append(
                    (event["type"], what["code"] if event["type"] == "ERROR" else what["metadata"]["name"])
                )
            self.ended = "in order"
        except Exception as error:
            self.ended = error
        finally:
            self._answer.close()
