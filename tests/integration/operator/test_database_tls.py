"""What a pod needs for TLS to the store, no podTemplate replaces: the API server refuses, and the status says why."""

from __future__ import annotations

from typing import Any

import pytest

from perdure_operator.decide.plan import Reason

MINE: dict[str, dict[str, Any]] = {
    "a volume": {"volumes": [{"name": "perdure-database-ca", "emptyDir": {}}]},
    "a mount": {
        "volumes": [{"name": "mine", "emptyDir": {}}],
        "containers": [
            {"name": "workflow", "volumeMounts": [{"name": "mine", "mountPath": "/etc/perdure/database/ca"}]}
        ],
    },
}


@pytest.mark.parametrize("spec", MINE.values(), ids=MINE)
def test_a_template_that_would_take_its_place_is_refused(start_operator, scene, spec):
    start_operator(pod_database_ca_config_map="authority").until_leading()
    scene.apply(podTemplate={"spec": spec})
    scene.until_phase("Stalled")
    stalled = scene.condition("Stalled")
    assert stalled["reason"] == Reason.POD_REFUSED
    assert "perdure" in stalled["message"]
    scene.change(podTemplate=None)
    assert scene.until_pod()["spec"]["volumes"][-1]["configMap"]["name"] == "authority"
