"""The productions, by theme."""

from __future__ import annotations

from ..grammar import Production
from . import asynchronous, callbacks, cancelling, contexts, outside, pools, sequential, values, waiting

ALL: list[Production] = [
    production
    for theme in (asynchronous, callbacks, cancelling, contexts, outside, pools, sequential, values, waiting)
    for production in theme.PRODUCTIONS
]
