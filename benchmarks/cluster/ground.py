"""What the rows are measured on: a cluster with the product installed, and whatever else a row asks for.

Everything starts when it is first asked for, and ends with the block; standard output is for the table alone.
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack
from functools import cached_property
from typing import Self, TypeVar

from tests.cluster.cluster import Cluster
from tests.cluster.product.image import ProductImages, perdure_images
from tests.cluster.product.installation import Installation
from tests.cluster.provide import a_cluster
from tests.harness.workspace import Workspace

__all__ = ["ClusterGround"]

T = TypeVar("T")


class ClusterGround:
    """Use as a context manager; `kills` and `seed` are for the row of that name."""

    def __init__(self, kills: int = 0, seed: int | None = None) -> None:
        self.kills = kills
        self.seed = seed
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def enter(self, context: AbstractContextManager[T]) -> T:
        """Enter a context that lasts as long as the ground."""
        return self._stack.enter_context(context)

    @staticmethod
    def say(line: str) -> None:
        """Tell a person what goes on."""
        print(line, file=sys.stderr, flush=True)

    @cached_property
    def workspace(self) -> Workspace:
        """The folder of processes on this machine, which end with it."""
        return self.enter(Workspace())

    @cached_property
    def cluster(self) -> Cluster:
        """The first cluster that serves."""
        return self.enter(a_cluster(self.say))

    @cached_property
    def images(self) -> ProductImages:
        """The product's images, on every node of the cluster."""
        images = perdure_images(self.say)
        for image in images:
            self.cluster.load(image)
        return images

    @cached_property
    def installation(self) -> Installation:
        """Postgres and one operator in the cluster."""
        return self.enter(Installation.make(self.cluster, self.images))
