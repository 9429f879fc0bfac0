"""A program that forks with clients and workers in use: `forked.py CASE URL`. It prints what came of it."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from perdure import Client, Worker, step, workflow

warnings.simplefilter("ignore", DeprecationWarning)  # of fork with threads, from Python 3.12 on
# What is dropped in a child must not warn either.
warnings.simplefilter("error", ResourceWarning)


@workflow
def nothing() -> int:
    return os.getpid()


def many(client: Client, name: str) -> int:
    """Start, find and list runs; how many of them are found."""
    for n in range(30):
        client.start(nothing, id=f"{name}-{n}")
        client.get(f"{name}-{n}")
    return len(client.list(id_prefix=f"{name}-"))


def forked(body: Callable[[], object]) -> int:
    """Fork a child that prints what `body` returns; its process id."""
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        print("child", body(), flush=True)
        code = 0
    except BaseException as error:
        print("child failed:", repr(error), flush=True)
    finally:
        os._exit(code)


def joined(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def both_go_on(client: Client) -> None:
    many(client, "before")
    children = [forked(functools.partial(many, client, f"child-{n}")) for n in range(3)]
    print("parent", many(client, "parent"))
    print("codes", [joined(pid) for pid in children])
    print("parent", many(client, "after"))


def a_client_is_closed_on_one_side(client: Client) -> None:
    many(client, "before")

    def close_and_go_on() -> int:
        client.close()
        return many(client, "child")

    print("code", joined(forked(close_and_go_on)))
    print("parent", many(client, "parent"))

    def wait_and_go_on() -> int:
        sys.stdin.readline()
        return many(client, "second")

    pid = forked(wait_and_go_on)
    client.close()
    print("ready", flush=True)
    print("code", joined(pid))


def in_the_midst_of_a_call(client: Client) -> None:
    """Another thread holds what the client has while this one forks: the test locks the table until `forked`."""
    client.list()
    print("lock", flush=True)
    sys.stdin.readline()
    threading.Thread(target=client.list).start()
    print("asked", flush=True)
    sys.stdin.readline()
    pid = forked(lambda: many(client, "child"))
    print("forked", flush=True)
    print("code", joined(pid))
    print("parent", many(client, "parent"))


def while_a_result_is_waited_for(client: Client) -> None:
    handle = client.start(nothing, id="waited")
    results: list[object] = []
    waiting = threading.Thread(target=lambda: results.append(handle.result(30)))
    waiting.start()
    time.sleep(0.2)
    pid = forked(lambda: client.handle("waited").result(30))
    with Worker(workflows=[nothing]):
        waiting.join()
    print("code", joined(pid), results == [os.getpid()])


def many_of_shared(name: str) -> int:
    return many(shared, name)


def pool_of_processes(client: Client) -> None:
    many(client, "before")
    with multiprocessing.get_context("fork").Pool(3) as pool:
        print("pool", pool.map(many_of_shared, ["a", "b", "c", "d"]))
    print("parent", many(client, "parent"))


def beside_a_worker(client: Client) -> None:
    worker = Worker(workflows=[nothing])
    worker.start()
    print("own", client.start(nothing).result(20) == os.getpid())
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        print("child ends")
        sys.exit(0)  # with all that is registered for the end of a process
    print("code", joined(pid))

    def work() -> bool:
        worker.stop()
        mine = Worker(workflows=[nothing], queue="child")
        with mine:
            return bool(client.start(nothing, queue="child").result(20) == os.getpid())

    print("code", joined(forked(work)))
    print("own", client.start(nothing).result(20) == os.getpid())
    worker.stop()


@step
def squares() -> list[int]:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        return pool.map(functools.partial(pow, 2), [1, 2, 3])


@workflow
def pooled() -> list[int]:
    return squares()


def a_pool_in_a_step_of_a_worker(client: Client) -> None:
    """The pool's end sends SIGTERM to its processes, for which the worker has a handler."""
    handle = client.start(pooled)

    def see() -> None:
        print(handle.result(20))
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=see).start()
    Worker(workflows=[pooled]).run()
    print("stopped")


def a_child_outlives_its_parent(client: Client) -> None:
    client.list()
    worker = Worker(workflows=[nothing])
    worker.start()
    client.start(nothing).result(20)
    pid = forked(lambda: Path("/dev/stdin").read_text())
    print("child is", pid, flush=True)
    time.sleep(60)


if __name__ == "__main__":
    signal.alarm(90)
    os.environ["PERDURE_DATABASE_URL"] = sys.argv[2]
    with Client() as shared:
        globals()[sys.argv[1]](shared)
