"""By which value of the chart's each setting of the operator's is said that is not below operator.settings."""

from __future__ import annotations

ELSEWHERE = {
    "database_url": "database.existingSecret",
    "database_direct_url": "database.directKey",
    "pod_database_secret": "workflows.databaseSecret.name",
    "pod_database_secret_key": "workflows.databaseSecret.key",
    "pod_database_tls_mode": "workflows.databaseTls.mode",
    "pod_database_ca_secret": "workflows.databaseTls.ca.secret",
    "pod_database_ca_config_map": "workflows.databaseTls.ca.configMap",
    "pod_database_ca_key": "workflows.databaseTls.ca.key",
    "pod_database_client_secret": "workflows.databaseTls.clientSecret",
    "pod_user": "workflows.user",
    "runtime_image": "workflows.image.repository",
    "image_pull_policy": "workflows.imagePullPolicy",
    "image_pull_secrets": "workflows.imagePullSecrets",
    "namespaces": "operator.namespaces",
    "cluster_id": "operator.clusterId",
    "instance": "operator.instance",
    "workflows_in_own_namespace": "workflows.inReleaseNamespace",
    "metrics": "metrics.access",
    "metrics_certificate": "metrics.certificateSecret",
}
"""Settings, and the values that say them."""

WITHOUT = {
    "pod_database_url": "everybody who may read pods could read it: it is for tests",
    "kubeconfig": "a pod has an account",
    "leader_election": "there may always be two for a moment, in an upgrade at the least",
    "leader_election_namespace": "it is the release's",
    "own_namespace": "it is the release's",
    "leader_election_name": "it is that of the chart's own Lease, which the operator's Role names",
    "identity": "it is the pod's name",
    "http_port": "nobody else is in the pod",
    "metrics_port": "nobody else is in the pod",
}
"""Settings without a value, and why nobody needs one."""
