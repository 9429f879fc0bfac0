"""A list that comes in pieces."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from perdure_operator.kube.lists import ListReader

ITEMS = [
    {"metadata": {"name": "a", "labels": {"é": '[{"}]'}}},
    {"spec": {"x": [1, 2.5e3, None, True, {}]}},
    {},
    {"n": -12},
]


def read(pieces: list[bytes]) -> tuple[list[Any], ListReader]:
    async def come() -> tuple[list[Any], ListReader]:
        async def chunks():
            for piece in pieces:
                yield piece

        reader = ListReader(chunks())
        return [item async for item in reader.items()], reader

    return asyncio.run(come())


@given(cuts=st.lists(st.integers(0, 400)), indent=st.sampled_from([None, 1]), items=st.integers(0, 4))
def test_is_read_wherever_it_is_cut(cuts, indent, items):
    body = {"kind": "List", "items": ITEMS[:items], "metadata": {"continue": "x"}, "number": 17}
    text = json.dumps(body, ensure_ascii=False, indent=indent).encode()
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    found, reader = read([text[start:end] for start, end in pairwise(bounds)])
    assert found == ITEMS[:items]
    assert reader.rest == {"kind": "List", "metadata": {"continue": "x"}, "number": 17}
    assert (reader.size, reader.listed) == (len(text), True)
