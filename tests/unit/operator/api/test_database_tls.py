"""TLS between a pod and the store: the variables, and the files that they name."""

from __future__ import annotations

from perdure.pod.environment import PodEnvironment
from perdure_operator.api.database_tls import DatabaseTls
from perdure_operator.api.pod import PodSettings
from tests.unit.operator.api.manifests import with_container
from tests.unit.operator.api.pods import URL, WITH_TLS, container, pod, variables


def test_without_tls_settings_there_is_nothing_of_it():
    # An empty variable is one that is not set; one that is not there could be set by an `envFrom` of the template.
    assert {value for name, value in variables(pod()).items() if "SSL" in name} == {""}
    assert [volume["name"] for volume in pod()["spec"]["volumes"]] == ["perdure-tmp"]


def test_the_mode_alone_needs_no_files():
    made = pod(settings=PodSettings(database=URL, tls=DatabaseTls(mode="require"), runtime_image="perdure:1"))
    assert variables(made)["PERDURE_DATABASE_SSLMODE"] == "require"
    assert [volume["name"] for volume in made["spec"]["volumes"]] == ["perdure-tmp"]


def test_what_the_variables_name_is_mounted_and_nothing_else_of_its_objects():
    made = pod(settings=WITH_TLS)
    told = {name: value for name, value in variables(made).items() if "SSL" in name}
    assert PodEnvironment.parse({name: str(value) for name, value in variables(made).items()}).database_tls == {
        "sslmode": "verify-full",
        "sslrootcert": "/etc/perdure/database/ca/ca.crt",
        "sslcert": "/etc/perdure/database/client/tls.crt",
        "sslkey": "/etc/perdure/database/client/tls.key",
    }
    volumes = {volume["name"]: volume for volume in made["spec"]["volumes"]}
    assert volumes["perdure-database-ca"]["configMap"] == {
        "name": "authorities",
        "items": [{"key": "store.pem", "path": "ca.crt"}],
    }
    client = volumes["perdure-database-client"]["secret"]
    assert (client["secretName"], client["defaultMode"]) == ("login", 0o440)
    files = set()
    for mount in container(made)["volumeMounts"]:
        (source,) = (part for name, part in volumes[mount["name"]].items() if name != "name")
        files |= {f"{mount['mountPath']}/{item['path']}" for item in source.get("items", [])}
    assert files == set(told.values()) - {"verify-full"}


def test_the_authority_can_be_in_a_secret():
    made = pod(settings=PodSettings(database=URL, tls=DatabaseTls(ca_secret="ca"), runtime_image="perdure:1"))
    assert made["spec"]["volumes"][-1] == {
        "name": "perdure-database-ca",
        "secret": {"secretName": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]},
    }


def test_whoever_the_user_is_can_read_the_key():
    assert pod(settings=WITH_TLS, image="bank:1")["spec"]["securityContext"]["fsGroup"] == 10001
    theirs = {"spec": {"securityContext": {"fsGroup": 7}}}
    assert pod(theirs, WITH_TLS, image="bank:1")["spec"]["securityContext"]["fsGroup"] == 7
    assert "fsGroup" not in pod(image="bank:1")["spec"]["securityContext"]


def test_no_template_takes_the_place_of_what_tls_needs():
    mine = {"name": "perdure-database-ca", "emptyDir": {}}
    mount = {"name": "perdure-database-ca", "mountPath": "/etc/perdure/database/ca"}
    template = {"spec": {"volumes": [mine], **with_container(volumeMounts=[mount])["spec"]}}
    made = pod(template, WITH_TLS)
    # Two of a name: so the API server refuses the pod, and the Workflow says why.
    assert [volume["name"] for volume in made["spec"]["volumes"]].count("perdure-database-ca") == 2
    assert made["spec"]["volumes"][-2:] == pod(settings=WITH_TLS)["spec"]["volumes"][-2:]
    assert container(made)["volumeMounts"][-2:] == container(pod(settings=WITH_TLS))["volumeMounts"][-2:]


def test_a_workflows_own_databases_keep_their_own_tls():
    made = pod(with_container(env=[{"name": "PGSSLMODE", "value": "require"}]), WITH_TLS)
    assert variables(made)["PGSSLMODE"] == "require"
    assert variables(made)["PERDURE_DATABASE_SSLMODE"] == "verify-full"
    assert not [name for name in variables(pod(settings=WITH_TLS)) if name.startswith("PG")]
