"""What of a podTemplate goes into a process of this machine, and what is named as ignored."""

from __future__ import annotations

from typing import Any

import pytest

from perdure.errors import UsageError
from perdure_operator.local.admission import admit
from perdure_operator.local.manifest import Manifest
from perdure_operator.local.template import LocalTemplate, local_template
from tests.unit.operator.api.manifests import with_container, workflow


def template(given: dict[str, Any], environment: dict[str, str] | None = None, **spec: Any) -> LocalTemplate:
    body = workflow({**spec, "podTemplate": given})
    manifest = Manifest(body, "shop", {"c": {"A": "a", "B": "b"}}, {"s": {"token": "t"}}, ())
    parsed = admit(body, "shop").spec
    assert parsed is not None
    return local_template(parsed, manifest, environment or {})


def test_plain_values_refer_to_those_before_them() -> None:
    env = [
        {"name": "HOST", "value": "db"},
        {"name": "URL", "value": "http://$(HOST)/$(LATER)/$$(HOST)"},
        {"name": "LATER", "value": "x"},
        {"name": "EMPTY"},
    ]
    assert template(with_container(env=env)).variables == {
        "HOST": "db",
        "URL": "http://db/$(LATER)/$(HOST)",
        "LATER": "x",
        "EMPTY": "",
    }


def test_values_of_the_same_file() -> None:
    env = [
        {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}},
        {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "B"}}},
        {"name": "WHERE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
    ]
    found = template(with_container(envFrom=[{"configMapRef": {"name": "c"}, "prefix": "C_"}], env=env))
    assert found.variables == {"C_A": "a", "C_B": "b", "TOKEN": "t", "A": "b", "WHERE": "shop"}
    assert found.used == {"ConfigMap c", "Secret s"}


SECRET = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "key"}}}


def test_what_the_command_has_is_taken_from_it() -> None:
    assert template(with_container(env=[SECRET]), {"KEY": "x"}).variables == {}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"env": [SECRET]}, "the variable KEY comes from the Secret vault, which is not here: give it to the command"),
        ({"env": [SECRET]}, "KEY=... perdure run ..., or put the Secret into the file"),
        ({"env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]}, "what only a pod has"),
        ({"env": [{"name": "X", "valueFrom": "odd"}]}, "X=... perdure run ..."),
        ({"env": [{"name": "X", "value": 7}]}, "the value of the variable X must be a text: put it in quotes"),
        ({"env": [{"name": "X", "value": "\0"}]}, "has a NUL"),
        ({"env": [{"name": "X=Y", "value": ""}]}, "'X=Y' is not a valid name of a variable"),
        ({"envFrom": [{"secretRef": {"name": "vault"}}]}, "the Secret vault, which is not in this file"),
        ({"envFrom": [{}]}, "unknown source"),
    ],
)
def test_what_nobody_knows_here(container: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as error:
        template(with_container(**container))
    assert words in str(error.value)


def test_what_may_be_missing() -> None:
    optional = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "key", "optional": True}}}
    container = {"env": [optional], "envFrom": [{"secretRef": {"name": "vault", "optional": True}}]}
    assert template(with_container(**container)).variables == {}


def test_what_makes_no_sense_here_is_named() -> None:
    given = {
        "metadata": {"labels": {"team": "x"}},
        "spec": {
            "terminationGracePeriodSeconds": 5,
            "volumes": [{"name": "v"}],
            "nodeSelector": None,
            "containers": [
                {"name": "workflow", "env": [], "resources": {"limits": {"memory": "1Gi"}}, "volumeMounts": []},
                {"name": "side", "image": "x"},
            ],
        },
    }
    assert template(given, image="x", ttlSecondsAfterFinished=0).ignored == (
        "image",
        "ttlSecondsAfterFinished",
        "podTemplate.metadata",
        "podTemplate.spec.volumes",
        "podTemplate.spec.containers[workflow].resources",
        "podTemplate.spec.containers[side]",
    )
