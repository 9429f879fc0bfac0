"""The cluster that the tests share, a namespace for each test, and the mark by which a test asks for a capability."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from secrets import token_hex

import pytest

from tests.harness.processes import Children
from tests.harness.unavailable import untested
from tests.harness.workspace import Workspace

from .audit import AuditLog
from .built.prerequisites import Lacking, check
from .cluster import Capability, Cluster
from .evidence import Evidence
from .off_the_clock import off_the_clock
from .provide import a_cluster

_FAILED = pytest.StashKey[bool]()
_OUR_ACCOUNTS = re.compile(r"[^/]+/perdure-.*")


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """A real Kubernetes with two nodes; `provide` says which."""
    yield from serve(request)


def serve(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """What the fixture `cluster` does, for packages that want a cluster of their own."""
    reporter = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(line: str) -> None:
        if reporter is None:
            return  # a process that reports to another, which has no place for it
        with capture.global_and_fixture_disabled():
            reporter.ensure_newline()
            reporter.write_line(line)

    opened = a_cluster(say)
    try:
        with off_the_clock(request):
            cluster = opened.__enter__()
    except Lacking as lacking:
        untested(str(lacking))
    except RuntimeError as error:  # all that building and starting it raises; the message says everything
        pytest.fail(f"No cluster: {error}", pytrace=False)
    try:
        yield cluster
        if request.session.testsfailed:
            Evidence.of(request.config).keep_parts(cluster)
        if Capability.AUDIT in cluster.capabilities:
            _check_what_was_asked(cluster)
    finally:
        opened.__exit__(None, None, None)


def _check_what_was_asked(cluster: Cluster) -> None:
    """Fail unless our accounts had the rights for all that they did, and from the chart alone, and read no Secret."""
    with cluster.audit_log().open() as lines:
        log = AuditLog(lines)
    deeds = log.of(_OUR_ACCOUNTS)
    wrong = {
        "was refused to them": log.wrongly_refused(deeds),
        "a binding for others allowed": [deed for deed in deeds if deed.by_others],
        "read Secrets": [deed for deed in deeds if deed.resource == "secrets" and deed.verb != "patch"],
    }
    told = [f"what {what}:\n{chr(10).join(map(str, found))}" for what, found in wrong.items() if found]
    if told:
        pytest.fail("\n".join(["Of what Perdure's accounts did on this cluster,", *told]), pytrace=False)


@pytest.fixture(scope="session")
def able() -> None:
    """This machine can have a built cluster, whichever cluster serves the tests."""
    try:
        check()
    except Lacking as lacking:
        untested(str(lacking))


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test; it goes with everything in it."""
    name = f"test-{token_hex(4)}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    yield name
    if _FAILED in request.node.stash:
        Evidence.of(request.config).keep_namespace(cluster, name, request.node.nodeid)
    cluster.api.delete(f"/api/v1/namespaces/{name}")
    cluster.reclaim_volumes()


@pytest.fixture
def children() -> Iterator[Children]:
    """Starts processes that end with the test."""
    with Workspace() as workspace:
        made = Children(workspace)
        yield made
        made.close()


@pytest.fixture(autouse=True)
def _capabilities(request: pytest.FixtureRequest) -> None:
    for mark in request.node.iter_markers("capability"):
        cluster = request.getfixturevalue("cluster")
        for capability in mark.args:
            if capability not in cluster.capabilities:
                pytest.skip(f"{cluster.title} does not offer {capability}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if folder := Evidence.folder_of(terminalreporter.config):
        terminalreporter.write_line(f"What the cluster says of the tests that failed is in {folder}")
