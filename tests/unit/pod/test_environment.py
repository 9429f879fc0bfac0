"""What a pod's environment names is parsed once, and each mistake is told with the variable's name."""

from __future__ import annotations

from uuid import UUID

import pytest

from perdure.errors import UsageError
from perdure.pod import PodEnvironment
from perdure.pod.environment import DEFAULT_LEASE_SECONDS, lease_seconds

RUN, CLAIM = "7b0e2f0e-3a53-4b52-9c5d-111111111111", "7b0e2f0e-3a53-4b52-9c5d-222222222222"
NEEDED = {
    "PERDURE_DATABASE_URL": "postgresql://pod:hunter2@store/perdure",
    "PERDURE_RUN_ID": RUN,
    "PERDURE_CLAIM": CLAIM,
}


def test_what_is_needed_suffices():
    environment = PodEnvironment.parse({**NEEDED, "PATH": "/bin"})
    assert environment == PodEnvironment(
        database_url=NEEDED["PERDURE_DATABASE_URL"],
        run_id=UUID(RUN),  # type: ignore[arg-type]
        claim=UUID(CLAIM),  # type: ignore[arg-type]
        grace_seconds=30.0,
        lease_seconds=6.0,
        pod_name=None,
        node_name=None,
    )


def test_everything_is_read():
    environment = PodEnvironment.parse(
        NEEDED
        | {
            "PERDURE_GRACE_SECONDS": "60",
            "PERDURE_LEASE_SECONDS": " 1.5 ",
            "PERDURE_POD_NAME": "transfer-17-0a1b2c3d-1",
            "PERDURE_NODE_NAME": "node-3",
        }
    )
    assert (environment.grace_seconds, environment.lease_seconds) == (60.0, 1.5)
    assert environment.pod_name == "transfer-17-0a1b2c3d-1"
    assert environment.node_name == "node-3"


def test_tls_is_told_in_libpqs_words():
    told = {"PERDURE_DATABASE_SSLMODE": "verify-full", "PERDURE_DATABASE_SSLROOTCERT": "/ca", "PGSSLMODE": "disable"}
    environment = PodEnvironment.parse({**NEEDED, **told, "PERDURE_DATABASE_SSLKEY": ""})
    assert environment.database_tls == {"sslmode": "verify-full", "sslrootcert": "/ca"}
    assert PodEnvironment.parse(NEEDED).database_tls == {}


def test_an_empty_optional_variable_is_not_set():
    environment = PodEnvironment.parse(NEEDED | {"PERDURE_GRACE_SECONDS": "", "PERDURE_POD_NAME": " "})
    assert environment.grace_seconds == 30.0
    assert environment.pod_name is None


@pytest.mark.parametrize("variable", NEEDED)
@pytest.mark.parametrize("value", [None, "", "  "])
def test_what_is_missing_is_named(variable: str, value: str | None):
    environ = {name: text for name, text in NEEDED.items() if name != variable}
    if value is not None:
        environ[variable] = value
    with pytest.raises(UsageError, match=f"^{variable} is not set: it holds "):
        PodEnvironment.parse(environ)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PERDURE_DATABASE_URL", "mysql://pod:hunter2@store"),
        ("PERDURE_RUN_ID", "17"),
        ("PERDURE_CLAIM", "secret-token"),
        ("PERDURE_GRACE_SECONDS", "30s"),
        ("PERDURE_GRACE_SECONDS", "0"),
        ("PERDURE_GRACE_SECONDS", "-1"),
        ("PERDURE_LEASE_SECONDS", "nan"),
        ("PERDURE_LEASE_SECONDS", "inf"),
        ("PERDURE_POD_NAME", "a\nb"),
        ("PERDURE_NODE_NAME", "\udcff"),
    ],
)
def test_what_is_wrong_is_named(variable: str, value: str):
    with pytest.raises(UsageError, match=f"^{variable} ") as raised:
        PodEnvironment.parse(NEEDED | {variable: value})
    assert str(raised.value).count("PERDURE_") == 1


def test_the_lease_alone_is_read_as_with_the_others():
    assert lease_seconds({"PERDURE_LEASE_SECONDS": " 1.5 "}) == 1.5
    assert lease_seconds({"PERDURE_LEASE_SECONDS": ""}) == lease_seconds({}) == DEFAULT_LEASE_SECONDS
    with pytest.raises(UsageError, match=r"^PERDURE_LEASE_SECONDS is 'soon': a number of seconds above 0"):
        lease_seconds({"PERDURE_LEASE_SECONDS": "soon"})


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UsageError) as raised:
        PodEnvironment.parse({"PERDURE_LEASE_SECONDS": "soon"})
    for variable in (*NEEDED, "PERDURE_LEASE_SECONDS"):
        assert variable in str(raised.value)


@pytest.mark.parametrize(
    ("variable", "secret"), [("PERDURE_DATABASE_URL", "hunter2"), ("PERDURE_CLAIM", "secret-token")]
)
def test_no_secret_is_in_a_message_or_in_the_repr(variable: str, secret: str):
    with pytest.raises(UsageError) as raised:
        PodEnvironment.parse(NEEDED | {variable: f"x{secret}"})
    assert secret not in str(raised.value)
    shown = repr(PodEnvironment.parse(NEEDED))
    assert "hunter2" not in shown
    assert CLAIM not in shown
    assert RUN in shown
