"""Which cluster serves the tests: the one that is named, else kind's, else the built one; or kind's, where asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.harness.cache import Say

from .built.cluster import built_cluster
from .cluster import Cluster
from .environment import KIND, KUBECONFIG
from .given import given_cluster
from .kind.cluster import engine, kind_cluster, some_kind_cluster
from .kind.engines import Installed

__all__ = ["a_cluster"]


@contextmanager
def a_cluster(say: Say) -> Iterator[Cluster]:
    """The first cluster that serves, until the block ends.

    Raises:
        Lacking: this machine can have none; the message says what it lacks.
        RuntimeError: there should be one, but it does not come up, or does not answer; the message says why.
    """
    if named := os.environ.get(KUBECONFIG):
        given = given_cluster(named)
        say(f"Tests run on {given.title}")
        yield given
        return
    with _made(say) as cluster:
        say(f"Tests run on {cluster.title}")
        yield cluster


def _made(say: Say) -> AbstractContextManager[Cluster]:
    if os.environ.get(KIND):
        return some_kind_cluster(say)
    if found := engine():
        return kind_cluster(Installed(found), say)
    return built_cluster(say)
