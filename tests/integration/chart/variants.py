"""The values for which the chart is rendered: some as people have them, and the matrix of the switches."""

from __future__ import annotations

from typing import Any

from .matrix import SWITCHES, meeting, values_of

_PEOPLES: dict[str, dict[str, Any]] = {
    "no values": {},
    "production": {
        "database": {
            "existingSecret": "store",
            "key": "uri",
            "directKey": "direct-uri",
            "migrateSecret": "store-owner",
            "podRole": "runs",
            "tls": {"mode": "verify-full", "ca": {"secret": "store-ca"}, "clientSecret": "store-client"},
        },
        "image": {"repository": "team/perdure", "digest": f"sha256:{'0' * 64}", "pullSecrets": ["pull"]},
        "operator": {
            "clusterId": "eu-1",
            "settings": {"maxActiveRuns": 2_000_000, "leaseSeconds": 7.5, "logLevel": "DEBUG", "logFormat": "text"},
            "podLabels": {"team": "platform"},
            "podAnnotations": {"scrape": "true"},
            "tolerations": [{"key": "infra", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {"podAntiAffinity": {}},
            "topologySpreadConstraints": [
                {
                    "maxSkew": 1,
                    "topologyKey": "topology.kubernetes.io/zone",
                    "whenUnsatisfiable": "DoNotSchedule",
                    "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
                }
            ],
            "priorityClassName": "platform",
            "extraArgs": ["--workers=40"],
            "extraEnv": [{"name": "SSL_CERT_DIR", "value": "/more"}],
            "extraVolumes": [{"name": "more", "configMap": {"name": "authorities"}}],
            "extraVolumeMounts": [{"name": "more", "mountPath": "/more", "readOnly": True}],
            "serviceAccount": {"name": "runner", "annotations": {"cloud.example/role": "none"}},
        },
        "workflows": {
            "databaseSecret": {"name": "store", "key": "uri", "namespaces": ["team-a", "team-b"]},
            "databaseTls": {
                "mode": "verify-full",
                "ca": {"configMap": "store-ca", "key": "root.pem"},
                "clientSecret": "runs-client",
            },
            "image": {"digest": f"sha256:{'1' * 64}"},
            "imagePullPolicy": "Always",
            "imagePullSecrets": ["pull", "more"],
        },
        "metrics": {
            "serviceMonitor": {"enabled": True, "interval": "1m", "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
            "dashboard": {"enabled": True, "labels": {"sidecar": "yes"}, "annotations": {"folder": "Platform"}},
        },
        "networkPolicy": {
            "enabled": True,
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "metrics"}}}],
            "workflows": {"namespaces": ["team-a", "team-b"], "egress": [{"ports": [{"port": 443}]}]},
        },
        "commonLabels": {"cost-centre": "17"},
        "global": {"imageRegistry": "mirror.example", "imagePullSecrets": [{"name": "all"}]},
        "proxy": {
            "httpsProxy": "http://proxy.example:3128",
            "httpProxy": "http://proxy.example:3128",
            "noProxy": [".example", "10.0.0.0/8"],
        },
    },
    "some namespaces": {
        "operator": {"namespaces": ["team-a", "team-b"], "replicas": 1},
        "networkPolicy": {"enabled": True, "workflows": {"namespaces": ["team-a"]}},
        "workflows": {"databaseSecret": {"namespaces": ["team-a", "team-b"]}},
    },
    "nothing of the cluster's": {
        "crds": {"enabled": False},
        "rbac": {"create": False, "aggregate": False},
        "database": {
            "existingSecret": "store",
            "migrate": False,
            "tls": {"ca": {"configMap": "ca", "key": "root.pem"}},
        },
        "workflows": {"databaseTls": {"ca": {"secret": "ca"}}},
        "fullnameOverride": "durable",
    },
    "users of the platform's": {
        "podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None},
        "postgres": {
            "storage": {"size": "20Gi", "className": "fast"},
            "resources": {"limits": {"memory": "2Gi"}},
            "podLabels": {"tier": "store"},
            "podAnnotations": {"backup": "no"},
            "tolerations": [{"operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "platform",
        },
        "nameOverride": "store-of-runs",
        "workflows": {"user": None, "inReleaseNamespace": True},
        "test": {"namespace": "team-a"},
    },
}

VARIANTS = {
    **_PEOPLES,
    **{f"matrix {number}": values_of(row) for number, row in enumerate(meeting(SWITCHES), start=1)},
}
