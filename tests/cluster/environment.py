"""The variables that say which cluster serves the tests; README.md has them all."""

from __future__ import annotations

__all__ = ["IMAGE", "KIND", "KUBECONFIG"]

IMAGE = "PERDURE_TEST_IMAGE"
"""For tests that need no more than Python in a pod, on a cluster that is given."""

KIND = "PERDURE_TEST_KIND"
"""Set: kind, whether or not it is there."""

KUBECONFIG = "PERDURE_TEST_KUBECONFIG"
"""Names a cluster that is given."""
