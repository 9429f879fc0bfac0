"""`perdure run FILE.yaml`: what comes of a manifest without a cluster, what is told, and exit codes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.harness.eventually import eventually
from tests.integration.cli.conftest import Cli
from tests.integration.cli.manifests import Manifests, reason

CODE = """
import os
from perdure import step, workflow

@step
def read(name):
    return os.environ.get(name)

@workflow
def flow(names: list[str] = []) -> list:
    return [read(name) for name in names]
"""


@pytest.fixture
def manifests(cli: Cli) -> Manifests:
    return Manifests(cli)


def config_map(name: str = "code", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def test_the_result_alone_is_on_standard_output(manifests: Manifests) -> None:
    ran = manifests.run("flows:counting", input={"n": 2, "label": "naïve"})

    assert json.loads(ran.output) == {"label": "naïve", "sum": 1}
    for line in ("perdure: flows:counting  w", "counting 1", "perdure: count#2: done in", "perdure: succeeded after"):
        assert line in ran.errors
    assert manifests.attempts() == [(1, "completed")]


def test_the_status_is_that_of_a_cluster(manifests: Manifests) -> None:
    manifests.write("flows:counting", namespace="shop")

    document = manifests.cli.document("run", "w.yaml")
    again = yaml.safe_load(manifests.cli("run", "w.yaml", "-o", "yaml").output)

    [(uid, namespace, store)] = manifests.cli.query(
        "SELECT r.id, r.namespace, m.store_id FROM perdure.runs r, perdure.meta m"
    )
    assert document["metadata"] == {"name": "w", "namespace": "shop", "uid": str(uid)}
    assert namespace == "shop"
    status = document["status"]
    assert status["storeId"] == str(store)
    assert status["phase"] == "Succeeded"
    assert status["result"] == {"label": "", "sum": 3}
    assert (status["attempts"], status["steps"]) == (1, {"completed": 3})
    assert {one["type"]: one["status"] for one in status["conditions"]} == {"Finished": "True", "Succeeded": "True"}
    assert again["status"]["result"] == status["result"]
    assert manifests.cli.log() == ["count 0", "count 1", "count 2"]


def test_a_workflow_that_fails(manifests: Manifests) -> None:
    ran = manifests.run("flows:failing", code=1)

    assert ran.output == ""
    assert 'raise LookupError("nothing there")' in ran.errors
    assert "run w failed: LookupError: nothing there" in ran.errors
    status = manifests.status(code=1)
    assert reason(status) == "Failed"
    assert status["error"] == {"type": "builtins:LookupError", "message": "nothing there"}
    assert manifests.attempts() == [(1, "completed")]


@pytest.mark.parametrize(
    ("entrypoint", "input", "why"),
    [
        ("flows:counting", {"n": "many"}, "InvalidInput"),
        ("flows:counting", {"lable": "x"}, "InvalidInput"),
        ("flows:missing", {}, "InvalidEntrypoint"),
        ("nowhere:flow", {}, "InvalidEntrypoint"),
        ("flows:plain", {}, "InvalidEntrypoint"),
    ],
)
def test_what_only_the_code_can_refuse_fails_as_in_a_cluster(
    manifests: Manifests, entrypoint: str, input: dict[str, Any], why: str
) -> None:
    manifests.write(entrypoint, input=input)
    assert reason(manifests.status(code=1)) == why


def test_a_crash_is_followed_by_another_attempt(manifests: Manifests) -> None:
    manifests.write("flows:crashing", input={"until": 3})

    status = manifests.status()

    assert (status["phase"], status["attempts"]) == ("Succeeded", 3)
    assert manifests.cli.log() == ["count 1", "die 1", "die 2", "die 3"]
    assert manifests.attempts() == [(1, "crashed"), (2, "crashed"), (3, "completed")]


def test_a_run_that_kills_every_process_stops_at_its_limit(manifests: Manifests) -> None:
    ran = manifests.run("flows:crashing", input={"until": 9}, backoffLimit=1, code=1)

    assert "BackoffLimitExceeded" in ran.errors
    assert "SIGKILL" in ran.errors
    assert reason(manifests.status(code=1)) == "BackoffLimitExceeded"
    assert manifests.cli.log() == ["count 1", "die 1", "die 2"]


def test_a_delay_is_told(manifests: Manifests) -> None:
    ran = manifests.run("flows:crashing", input={"until": 4})
    assert "perdure: attempt 2 ended: killed by SIGKILL" in ran.errors
    assert "; the next one starts 1 s after that" in ran.errors


def test_a_deadline_ends_the_run(manifests: Manifests) -> None:
    manifests.write("flows:held", activeDeadlineSeconds=1)

    status = manifests.status(code=1)

    assert reason(status) == "DeadlineExceeded"
    assert status["error"]["type"] == "perdure.errors:DeadlineExceeded"
    assert manifests.cli.log() == ["count 1", "hold 1"]


def test_a_deadline_holds_while_nobody_runs_it(manifests: Manifests) -> None:
    first = manifests.start("flows:held", activeDeadlineSeconds=2)
    manifests.cli.wait_for("hold 1")
    first.kill()
    eventually(
        lambda: manifests.cli.query("SELECT 1 FROM perdure.runs WHERE clock_timestamp() - started > interval '2 s'")
    )

    assert reason(manifests.status(code=1)) == "DeadlineExceeded"
    assert manifests.cli.log() == ["count 1", "hold 1"]


def test_one_that_is_cancelled_before_it_starts_runs_nothing(manifests: Manifests) -> None:
    ran = manifests.run("flows:counting", cancel=True, code=78)

    assert "cancelled" in ran.errors
    assert reason(manifests.status(code=78)) == "Cancelled"
    assert manifests.cli.query("SELECT 1 FROM perdure.runs") == []
    assert manifests.cli.log() == []


def test_cancel_in_the_manifest_ends_a_run_that_another_command_works_on(manifests: Manifests) -> None:
    first = manifests.start("flows:held")
    manifests.cli.wait_for("hold 1")

    second = manifests.start("flows:held", cancel=True)
    eventually(lambda: manifests.cli.query("SELECT 1 FROM perdure.runs WHERE cancel"), 20)
    [(beats,)] = manifests.cli.query("SELECT counter FROM perdure.processes")
    eventually(lambda: manifests.cli.query("SELECT counter FROM perdure.processes")[0][0] > beats + 1)
    manifests.cli.let_go()

    assert (first.wait(20), second.wait(20)) == (78, 78)
    assert reason(manifests.status(code=78)) == "Cancelled"
    assert manifests.cli.log() == ["count 1", "hold 1"]


def test_a_cancelled_process_that_does_not_end_is_ended(manifests: Manifests) -> None:
    first = manifests.start("flows:held")
    manifests.cli.wait_for("hold 1")

    grace = {"spec": {"terminationGracePeriodSeconds": 1}}
    manifests.run("flows:held", cancel=True, podTemplate=grace, code=78)

    assert first.wait(20) == 78


def test_suspended_it_waits_and_goes_on(manifests: Manifests) -> None:
    ran = manifests.run("flows:counting", suspend=True, code=75)
    assert "suspended; set spec.suspend to false to go on" in ran.errors
    assert reason(manifests.status(code=75)) == "Suspended"
    assert manifests.cli.log() == []

    assert json.loads(manifests.run("flows:counting").output)["sum"] == 3
    assert manifests.attempts() == [(1, "completed")]


def test_suspend_in_the_manifest_stops_another_command(manifests: Manifests) -> None:
    first = manifests.start("flows:held")
    manifests.cli.wait_for("hold 1")

    second = manifests.start("flows:held", suspend=True)
    eventually(lambda: manifests.cli.query("SELECT 1 FROM perdure.runs WHERE suspend"), 20)
    manifests.cli.let_go("drain", "go")

    assert (first.wait(20), second.wait(20)) == (75, 75)
    (manifests.cli.folder / "drain").unlink()
    assert json.loads(manifests.run("flows:held").output) == [1, 1, 2]
    assert manifests.cli.log() == ["count 1", "hold 1", "count 2"]


def test_limits_can_be_changed(manifests: Manifests) -> None:
    manifests.run("flows:counting", suspend=True, code=75)
    manifests.run("flows:counting", suspend=True, backoffLimit=2, activeDeadlineSeconds=77, code=75)
    assert manifests.cli.query("SELECT backoff_limit, deadline_seconds FROM perdure.runs") == [(2, 77.0)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"input": {"n": 2}}, "input"),
        ({"input": {}}, "input"),
        ({"source": {"inline": {"mine.py": CODE + "\n"}}}, "source"),
        ({"source": {"inline": {"mine.py": CODE, "more.py": ""}}}, "source"),
        ({"entrypoint": "mine:other"}, "entrypoint"),
    ],
)
def test_what_a_run_starts_with_cannot_be_changed(manifests: Manifests, change: dict[str, Any], field: str) -> None:
    start: dict[str, Any] = {"entrypoint": "mine:flow", "source": {"inline": {"mine.py": CODE}}, "input": {"names": []}}
    manifests.run(**start)

    ran = manifests.run(**{**start, **change}, backoffLimit=1, code=64)

    assert f"spec.{field}: Forbidden: {field} cannot be changed" in ran.errors
    assert "create a new Workflow instead, under another metadata.name" in ran.errors
    assert "or remove that run: perdure delete w" in ran.errors
    manifests.cli("delete", "w")
    if field == "input":
        manifests.cli("run", "w.yaml", code=1 if "n" in change["input"] else 0)


def test_input_in_another_order_is_the_same(manifests: Manifests) -> None:
    manifests.run("flows:counting", input={"n": 1, "label": "x"})
    assert "has ended already" in manifests.run("flows:counting", input={"label": "x", "n": 1}).errors


def test_names_in_other_namespaces_are_other_runs(manifests: Manifests) -> None:
    manifests.run("flows:counting", input={"n": 1})
    manifests.run("flows:counting", input={"n": 2}, namespace="shop")

    show = manifests.cli.document
    assert (show("show", "w")["input"], show("show", "default/w")["input"]) == ({"n": 1}, {"n": 1})
    assert show("show", "shop/w")["input"] == {"n": 2}
    manifests.cli("delete", "shop/w")
    manifests.cli("show", "shop/w", code=1)
    manifests.cli("show", "w")


def test_a_run_of_a_queue_has_the_name_before_a_manifests(manifests: Manifests) -> None:
    manifests.run("flows:counting", input={"n": 1})
    manifests.cli("run", "flows:counting", "--id", "w", "--input", '{"n": 2}')

    assert manifests.cli.document("show", "w")["input"] == {"n": 2}
    assert manifests.cli.document("show", "default/w")["input"] == {"n": 1}


def test_deleted_and_run_again_it_is_another_run(manifests: Manifests) -> None:
    manifests.run("flows:counting", input={"n": 1})
    [(uid,)] = manifests.cli.query("SELECT id FROM perdure.runs")
    manifests.cli("delete", "w")
    manifests.cli("run", "w.yaml")

    assert manifests.cli.query("SELECT id FROM perdure.runs") != [(uid,)]
    assert manifests.cli.log() == ["count 0", "count 0"]


def test_pruned_as_other_runs_are(manifests: Manifests) -> None:
    manifests.run("flows:counting", input={"n": 1})

    assert "0 runs deleted" in manifests.cli("prune", "--older-than", "0s", "--queue", "default").output
    assert "1 runs deleted" in manifests.cli("prune", "--older-than", "0s").output
    manifests.cli("show", "w", code=1)


def test_inline_code_stands_before_that_of_the_folder(manifests: Manifests) -> None:
    inline = {"flows.py": CODE.replace("os.environ.get(name)", "'inline ' + name")}
    ran = manifests.run("flows:flow", source={"inline": inline}, input={"names": ["x"]})
    assert json.loads(ran.output) == ["inline x"]


def test_code_of_a_config_map_stays_what_it_was(manifests: Manifests) -> None:
    source = {"configMap": {"name": "code"}}
    new = config_map(**{"mine.py": "raise RuntimeError('changed')"})

    first = manifests.run("mine:flow", config_map(**{"mine.py": CODE}), source=source)
    again = manifests.run("mine:flow", new, source=source)
    without = manifests.run("mine:flow", source=source)

    assert [json.loads(one.output) for one in (first, again, without)] == [[], [], []]
    assert "not used" not in first.errors


@pytest.mark.parametrize(
    ("others", "words"),
    [
        ([], "its code is in the ConfigMap code, which is not in this file: put it there"),
        ([config_map("other", **{"mine.py": CODE})], "its code is in the ConfigMap code, which is not in this file"),
        ([config_map()], "its code cannot be taken from the ConfigMap code: it has no files"),
        ([config_map(**{"json.py": ""})], "Python's or Perdure's own module 'json'"),
    ],
)
def test_code_that_is_not_there(manifests: Manifests, others: list[Any], words: str) -> None:
    ran = manifests.run("mine:flow", *others, source={"configMap": {"name": "code"}}, code=64)
    assert words in ran.errors
    assert manifests.cli.query("SELECT 1 FROM perdure.runs") == []


def test_variables_of_the_template(manifests: Manifests) -> None:
    env = [
        {"name": "PLACE", "value": "here"},
        {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ]
    template = {"spec": {"containers": [{"name": "workflow", "env": env}]}}
    given = {
        "source": {"inline": {"mine.py": CODE}},
        "input": {"names": ["PLACE", "KEY", "PERDURE_POD_NAME"]},
        "podTemplate": template,
    }

    refused = manifests.run("mine:flow", **given, code=64)
    assert "the variable KEY comes from the Secret s, which is not here" in refused.errors
    ran = manifests.start("mine:flow", environment={"KEY": "secret"}, **given)
    assert ran.wait(20) == 0

    place, key, pod = json.loads(ran.output)
    assert (place, key) == ("here", "secret")
    assert pod.startswith("w-")


def test_what_makes_no_difference_is_told_once(manifests: Manifests) -> None:
    template = {"spec": {"containers": [{"name": "workflow", "resources": {}}], "nodeSelector": {"a": "b"}}}
    ran = manifests.run(
        "flows:counting",
        config_map("extra"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}},
        image="bank:1",
        ttlSecondsAfterFinished=0,
        podTemplate=template,
    )

    assert "not used, of the same file: ConfigMap extra, Service s" in ran.errors
    assert "ignored without a cluster: image, ttlSecondsAfterFinished, podTemplate.spec.nodeSelector" in ran.errors
    assert "the code is that of the current folder" in ran.errors
    assert manifests.cli.query("SELECT state FROM perdure.runs") == [("succeeded",)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no Workflow of perdure.io/v1alpha1, but nothing"),
        ("{{ .Values.x }}", "is not YAML"),
        ("a: 1\na: 2", "the key 'a' is there twice"),
        ("[]", "document 1 is a list"),
        ("\x00", "is not YAML"),
    ],
)
def test_odd_files_get_a_sentence(cli: Cli, text: str, words: str) -> None:
    (cli.folder / "w.yaml").write_text(text)
    ran = cli("run", "w.yaml", code=64)
    assert words in ran.errors
    assert ran.errors.startswith("perdure run: w.yaml ") or ran.errors.startswith("perdure run: w.yaml: ")
    assert len(ran.errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"entrypoint": "bank"}, 'spec.entrypoint: Invalid value: "bank": entrypoint is module:function'),
        ({"entrypoint": "a:b", "inptu": {}}, 'strict decoding error: unknown field "spec.inptu"'),
        ({"entrypoint": "a:b", "backoffLimit": "6"}, "spec.backoffLimit in body must be of type integer"),
        (
            {"entrypoint": "a:b", "podTemplate": {"spec": {"hostPID": True}}},
            "spec.podTemplate.spec.hostPID: hostPID must",
        ),
        ({"entrypoint": "a:b", "input": {"x": "y" * 132_000}}, "131072 are the most"),
    ],
)
def test_bad_manifests_are_refused_before_anything_starts(
    manifests: Manifests, spec: dict[str, Any], words: str
) -> None:
    ran = manifests.run(**spec, code=64)
    assert "perdure run: the Workflow w is refused: s" in ran.errors
    assert words in ran.errors
    assert manifests.cli.query("SELECT 1 FROM perdure.runs") == []


@pytest.mark.parametrize(
    ("option", "instead"),
    [
        ("--input={}", "spec.input"),
        ("--id=x", "metadata.name"),
        ("--backoff-limit=1", "spec.backoffLimit"),
        ("--queue=q", "no queue"),
    ],
)
def test_options_that_a_manifest_has_itself(manifests: Manifests, option: str, instead: str) -> None:
    ran = manifests.cli("run", manifests.write("flows:counting"), option, code=64)
    assert f"{option.partition('=')[0]} is not for manifests: w.yaml says it itself ({instead}" in ran.errors


def test_stores_that_cannot_be_used(manifests: Manifests) -> None:
    file = manifests.write("flows:counting")
    away = manifests.cli("run", file, "--database-url", "postgresql://nobody@127.0.0.1:1/x", code=69)
    bad = manifests.cli("run", file, "--database-url", "mysql://x", code=64)
    assert "the store does not answer" in away.errors
    assert "database URL" in bad.errors


def test_the_embedded_database_is_the_default(manifests: Manifests) -> None:
    cli = manifests.cli
    del cli.environment["PERDURE_DATABASE_URL"]
    cli.environment |= {"PERDURE_DATA_DIR": str(cli.folder / "data"), "PERDURE_IDLE_SECONDS": "1"}

    assert json.loads(manifests.run("flows:counting").output)["sum"] == 3
    assert cli("show", "w", "-o", "json").output.count('"key"') == 3
    assert cli("list").output.splitlines()[1].split()[:3] == ["w", "flows:counting", "succeeded"]


def test_without_yaml_it_says_what_to_install(manifests: Manifests) -> None:
    (manifests.cli.folder / "yaml.py").write_text("raise ModuleNotFoundError(\"No module named 'yaml'\", name='yaml')")
    ran = manifests.cli("run", manifests.write("flows:counting"), code=64, PYTHONPATH=str(manifests.cli.folder))
    assert "(yaml is missing): pip install 'perdure[local]'" in ran.errors
