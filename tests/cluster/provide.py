"""Which cluster serves the tests: the one that is named, else kind's, else the built one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tests.harness.cache import Say

from . import kind
from .built.cluster import built_cluster
from .cluster import Cluster
from .given import KUBECONFIG, given_cluster

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
    engine = kind.engine()
    with kind.kind_cluster(engine, say) if engine else built_cluster(say) as cluster:
        say(f"Tests run on {cluster.title}")
        yield cluster
