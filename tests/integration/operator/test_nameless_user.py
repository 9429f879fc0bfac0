"""An operator whose user has a number and no name, as a platform gives it one, hears of everything all the same."""

from __future__ import annotations

import pytest

from tests.harness.nameless import nameless

from .operators import Operator

pytestmark = pytest.mark.needs("unshare")


def test_it_hears_of_workflows_and_pods(api_server, database, children, namespace, scene):
    operator = Operator(children, api_server.kubeconfig, database.url, namespace, {}, before=nameless())
    operator.until_leading()
    scene.apply()
    scene.play_to_the_end(scene.until_pod())
    scene.until_phase("Succeeded")
    operator.check()
    assert not [line for line in operator.log if "watching ended" in line["message"]]
