"""Programs that process data: files, tables, pages, pools of threads."""

from __future__ import annotations

import collections
import concurrent.futures
import csv
import io
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypedDict

import perdure
from perdure import step, workflow

from .outside import tell

log = logging.getLogger(__name__)

TABLE = "name,amount\nada,3\nbob,x\ncid,5\n"


@step
def extract(source: str) -> list[int]:
    tell("extract", source)
    return [len(source), len(source) * 2]


@step
def load(table: str, rows: list[int]) -> int:
    tell("load", (table, rows))
    return len(rows)


@workflow
def etl(sources: list[str]) -> dict[str, int]:
    with perdure.ThreadPoolExecutor(2) as pool:
        extracted = list(pool.map(extract, sources))
    rows = [row * 10 for rows in extracted for row in rows if row % 2 == 0]
    loaded = load("facts", rows)
    return {"rows": loaded, "sum": sum(rows)}


@workflow
def etl_by_futures(sources: list[str]) -> list[int]:
    pool = perdure.ThreadPoolExecutor(4)
    futures = {pool.submit(extract, source): source for source in sources}
    results = {}
    for future in concurrent.futures.as_completed(futures):
        results[futures[future]] = future.result()
    pool.shutdown()
    return [load(source, results[source]) for source in sorted(results)]


class Row(NamedTuple):
    name: str
    amount: int


@step
def read_table(name: str) -> str:
    tell("read", name)
    return TABLE


@step
def insert(row: Row) -> bool:
    tell("insert", list(row))
    return True


@step
def report_bad(line: int, why: str) -> None:
    tell("bad", (line, why))


@workflow
def csv_import(name: str) -> tuple[int, int]:
    good = bad = 0
    for number, record in enumerate(csv.DictReader(io.StringIO(read_table(name))), 2):
        try:
            row = Row(record["name"], int(record["amount"]))
        except ValueError as error:
            log.warning("line %d: %s", number, error)
            report_bad(number, str(error))
            bad += 1
        else:
            good += insert(row)
    return good, bad


@step
def count_words(text: str) -> collections.Counter[str]:
    tell("count", text)
    return collections.Counter(text.split())


@step
def store_counts(pairs: list[tuple[str, int]]) -> list[tuple[str, int]]:
    tell("store", pairs)
    return pairs


@workflow
def map_reduce(texts: list[str]) -> list[tuple[str, int]]:
    with perdure.ThreadPoolExecutor(3) as pool:
        counters = list(pool.map(count_words, texts))
    total: collections.Counter[str] = collections.Counter()
    for counter in counters:
        total.update(counter)
    return store_counts(sorted(total.items()))


class Page(TypedDict):
    items: list[int]
    next: int | None


@step
def fetch_page(cursor: int) -> Page:
    tell("page", cursor)
    return {"items": [cursor, cursor + 1], "next": cursor + 2 if cursor < 4 else None}


def everything() -> Iterator[int]:
    cursor: int | None = 0
    while cursor is not None:
        page = fetch_page(cursor)
        yield from page["items"]
        cursor = page["next"]


@workflow
def pagination(limit: int) -> list[int]:
    return list(itertools.islice(everything(), limit))


@step
def thumbnail(path: Path, width: int) -> Path:
    tell("thumbnail", (str(path), width))
    if path.suffix == ".txt":
        raise ValueError(f"{path.name} is no image")
    return path.with_name(f"{path.stem}-{width}{path.suffix}")


@workflow
def thumbnails(folder: Path, widths: list[int]) -> dict[str, list[str]]:
    made: dict[str, list[str]] = {}
    for name, width in itertools.product(["a.png", "notes.txt", "b.jpg"], widths):
        try:
            made.setdefault(name, []).append(thumbnail(folder / name, width).name)
        except ValueError as error:
            made[name] = [str(error)]
    return made


@step
def tags_of(document: str) -> set[str]:
    tell("tags", document)
    return set(document.split("-"))


@step
def publish(tag: str, documents: list[str]) -> None:
    tell("publish", (tag, documents))


@workflow
def report_by_tag(documents: list[str]) -> dict[str, list[str]]:
    by_tag: dict[str, list[str]] = collections.defaultdict(list)
    seen: set[str] = set()
    for document in documents:
        tags = tags_of(document)
        seen |= tags
        for tag in sorted(tags):
            by_tag[tag].append(document)
    for tag in sorted(seen):
        publish(tag, by_tag[tag])
    return dict(by_tag)


@step
def store_chunk(chunk: list[int]) -> int:
    tell("chunk", chunk)
    return sum(chunk)


@workflow
def chunks(numbers: list[int], size: int) -> list[int]:
    waiting = iter(numbers)
    sums = []
    while chunk := list(itertools.islice(waiting, size)):
        sums.append(store_chunk(chunk))
    return sums


class Tree(TypedDict):
    name: str
    children: list[Tree]


@step
def visit(name: str) -> int:
    tell("visit", name)
    return len(name)


@workflow
def walk(document: str) -> int:
    def size(tree: Tree) -> int:
        return visit(tree["name"]) + sum(size(child) for child in tree["children"])

    return size(json.loads(document))


@workflow
def staged(sources: list[str]) -> list[int]:
    found: list[int] = []
    for stage in ("bronze", "silver"):
        with perdure.ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(extract, f"{stage}/{source}") for source in sources]
        found.extend(sum(future.result()) for future in futures)
        load(stage, found)
    return found


PROGRAMS = [
    (etl, (["orders", "users", "tea"],)),
    (etl_by_futures, (["orders", "users"],)),
    (csv_import, ("people",)),
    (map_reduce, (["a b a", "b c", "a"],)),
    (pagination, (5,)),
    (thumbnails, (Path("/pictures"), [10, 20])),
    (report_by_tag, (["red-green", "green-blue", "red"],)),
    (chunks, ([1, 2, 3, 4, 5], 2)),
    (walk, ('{"name": "root", "children": [{"name": "a", "children": []}, {"name": "bc", "children": []}]}',)),
    (staged, (["x", "yy"],)),
]
