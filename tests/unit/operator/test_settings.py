"""What the operator is told, and what it answers to nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import DefaultClause

from perdure.store.schema.tables import runs
from perdure_operator.decide.observed import DISRUPTION_LIMIT, Limits, Policy
from perdure_operator.errors import Misconfigured
from perdure_operator.settings import Settings

ENOUGH = {"PERDURE_DATABASE_URL": "postgresql://store/perdure", "PERDURE_OPERATOR_POD_DATABASE_SECRET": "perdure"}


def test_flags_win_over_variables():
    environ = {**ENOUGH, "PERDURE_OPERATOR_WORKERS": "3", "PERDURE_OPERATOR_NAMESPACES": "a, b,"}
    settings = Settings.parse(["--workers", "5"], environ)
    assert (settings.workers, settings.namespaces) == (5, ("a", "b"))
    assert settings.database_url == ENOUGH["PERDURE_DATABASE_URL"]


def test_an_empty_variable_is_one_that_is_not_set():
    assert Settings.parse([], {**ENOUGH, "PERDURE_OPERATOR_MAX_ACTIVE_RUNS": ""}).max_active_runs is None


def test_the_user_of_pods_is_a_number_or_the_platforms():
    assert Settings.parse([], ENOUGH).pod_user == 10001
    assert Settings.parse(["--pod-user=20000"], ENOUGH).pod_user == 20000
    assert Settings.parse(["--pod-user=platform"], ENOUGH).pod_user is None


@pytest.mark.parametrize("name", ["a", "prod-eu.2", "6dbd2eb9-0f6e-4b0f-a2d6-6e7b2f1a7e01"])
def test_a_cluster_can_have_a_name_or_the_uid_that_it_would_have_anyway(name):
    assert Settings.parse(["--cluster-id", name], ENOUGH).cluster_id == name


def test_in_its_own_namespace_it_runs_no_workflows_unless_it_is_told_to(tmp_path, monkeypatch):
    assert Settings.parse([], ENOUGH).own_namespace is None  # it is in no pod
    assert Settings.parse([], ENOUGH).leader_election_namespace == "default"
    (tmp_path / "namespace").write_text("perdure\n")
    monkeypatch.setattr("perdure_operator.settings._OWN_NAMESPACE", tmp_path / "namespace")
    settings = Settings.parse([], ENOUGH)
    assert (settings.own_namespace, settings.leader_election_namespace) == ("perdure", "perdure")
    assert settings.workflows_in_own_namespace is False
    told = Settings.parse(["--own-namespace=here"], {**ENOUGH, "PERDURE_OPERATOR_WORKFLOWS_IN_OWN_NAMESPACE": "true"})
    assert (told.own_namespace, told.workflows_in_own_namespace) == ("here", True)


def test_the_limit_of_disruptions_is_one_and_the_same_everywhere():
    unsaid = Limits(backoff_limit=6, deadline_seconds=None, suspend=False, cancel=False)
    assert Settings.parse([], ENOUGH).disruption_limit == Policy().disruption_limit == unsaid.disruption_limit
    default = runs.c.disruption_limit.server_default
    assert isinstance(default, DefaultClause)
    assert str(default.arg) == str(DISRUPTION_LIMIT)
    page = (Path(__file__).resolve().parents[3] / "docs" / "kubernetes.md").read_text()
    assert f"| `--disruption-limit` | {DISRUPTION_LIMIT} |" in page
    assert f"ends the run after {DISRUPTION_LIMIT} in a row without a new checkpoint (`--disruption-limit`)" in page


def test_two_processes_of_one_pod_are_two():
    assert Settings.parse([], ENOUGH).identity != Settings.parse([], ENOUGH).identity


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "--database-url"),
        ({**ENOUGH, "PERDURE_OPERATOR_WORKERS": "many"}, "--workers"),
        ({**ENOUGH, "PERDURE_OPERATOR_LOG_LEVEL": "LOUD"}, "--log-level"),
        ({"PERDURE_DATABASE_URL": "postgresql://store/perdure"}, "--pod-database-secret"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_DATABASE_URL": "postgresql://x:secret@y/z"}, "--pod-database-secret"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_USER": "somebody"}, "--pod-user"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_USER": "0"}, "--pod-user"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_TEMPLATE": "spec: {}"}, "--pod-template"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_TEMPLATE": '{"spec": {"hostPID": true}}'}, "hostPID must stay off"),
        (
            {**ENOUGH, "PERDURE_OPERATOR_POD_TEMPLATE": '{"spec": {"terminationGracePeriodSeconds": 5}}'},
            "each Workflow's own",
        ),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_SERVICE_ACCOUNT": "../a"}, "--pod-service-account"),
        ({**ENOUGH, "PERDURE_OPERATOR_CLUSTER_ID": "my cluster"}, "--cluster-id"),
        ({**ENOUGH, "PERDURE_OPERATOR_CLUSTER_ID": "a" * 64}, "--cluster-id"),
        ({**ENOUGH, "PERDURE_OPERATOR_POD_DATABASE_TLS_MODE": "on"}, "--pod-database-tls-mode"),
        (
            {
                **ENOUGH,
                "PERDURE_OPERATOR_POD_DATABASE_CA_SECRET": "a",
                "PERDURE_OPERATOR_POD_DATABASE_CA_CONFIG_MAP": "b",
            },
            "--pod-database-ca-secret",
        ),
    ],
)
def test_what_is_wrong_is_named(environ, said):
    with pytest.raises(Misconfigured, match=said) as raised:
        Settings.parse([], environ)
    assert "secret@" not in str(raised.value)


def test_secrets_are_no_flags_and_are_not_shown(capsys):
    with pytest.raises(SystemExit):
        Settings.parse(["--help"], ENOUGH)
    assert "database-url" not in capsys.readouterr().out
    assert "store/perdure" not in repr(Settings.parse([], ENOUGH))
