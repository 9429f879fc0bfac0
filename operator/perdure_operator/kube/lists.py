"""Parses a list while its response arrives, one object at a time.

An object may have 1.5 MB, and thirty times that when it is parsed, so a page of such objects would be too big. Only the
text of the current object, and that object, are in memory.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

from . import deep_json

__all__ = ["ListReader"]

_DECODER: Final = json.JSONDecoder()
_BLANKS: Final = re.compile(r"[ \t\r\n]*")


class ListReader:
    """Reads one list: `items` once, and then `rest`.

    Attributes:
        rest: the list's fields without its items, after those were read.
        size: bytes read so far.
        listed: whether the list had the field `items`, perhaps empty.
    """

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._over = False
        self.rest: dict[str, Any] = {}
        self.size = 0
        self.listed = False

    async def items(self) -> AsyncIterator[Any]:
        """The items of the list, as they arrive.

        Raises:
            ValueError: the response is not a JSON object, or it is incomplete.
        """
        await self._expect("{")
        if await self._next() == "}":
            return
        while True:
            name = await self._value()
            await self._expect(":")
            if name == "items" and await self._next() == "[":
                self.listed = True
                async for item in self._elements():
                    yield item
                    del item
            else:
                self.rest[name] = await self._value()
            if await self._take() == "}":
                return

    async def _elements(self) -> AsyncIterator[Any]:
        await self._expect("[")
        if await self._next() == "]":
            await self._take()
            return
        while True:
            yield await self._value()
            if await self._take() == "]":
                return

    async def _value(self) -> Any:
        """The value that begins here."""
        enough = 0
        while True:
            await self._next()
            # After a failed try, parse again only when twice as much text has arrived, to keep the work linear.
            if len(self._text) - self._at >= enough or self._over:
                try:
                    value, end = _decoded(self._text, self._at)
                except ValueError:
                    if self._over:
                        raise
                else:
                    if end < len(self._text) or self._over:  # else a number may go on
                        self._at = end
                        return value
                enough = 2 * (len(self._text) - self._at)
            await self._more()

    async def _expect(self, sign: str) -> None:
        if await self._take() != sign:
            raise ValueError(f"{sign} is missing")

    async def _take(self) -> str:
        sign = await self._next()
        self._at += 1
        return sign

    async def _next(self) -> str:
        """The next character that is not a blank."""
        while True:
            found = _BLANKS.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text):
                return self._text[self._at]
            if self._over:
                raise ValueError("it ends in the middle")
            await self._more()

    async def _more(self) -> None:
        try:
            chunk = await anext(self._chunks)
        except StopAsyncIteration:
            self._over, chunk = True, b""
        self.size += len(chunk)
        self._text = self._text[self._at :] + self._decode.decode(chunk, final=self._over)
        self._at = 0


def _decoded(text: str, start: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        end = deep_json.end_of_value(text, start)
        if end is None:
            raise ValueError("it ends in the middle") from None
        return deep_json.read(text[start:end]), end
