"""A file is the same program whether it is run as a script or imported by its name: its own classes are its own."""

from __future__ import annotations

import sys

import pytest

from tests.harness.eventually import eventually
from tests.integration.cli.conftest import Cli

PROGRAM = """
import enum
import os
from perdure import Client, Worker, run_step, step, workflow


class Way(enum.Enum):
    LOUD = 1
    QUIET = object()


class Broke(Exception):
    def __init__(self, missing: int, way: Way) -> None:
        super().__init__(f"{missing} are missing")
        self.missing = missing
        self.way = way


class Several(ExceptionGroup[Exception]):
    def derive(self, members):
        return Several(self.message, members)


@step
def pay() -> None:
    with open("log", "a") as log:
        log.write(f"pay {__name__}\\n")
    try:
        raise Broke(3, Way.QUIET)
    except Broke as error:
        raise Several("two", [Broke(4, Way.LOUD)]) from error


@step
def settle(missing: list[int], ways: list[bool]) -> list[object]:
    if not os.path.exists("go"):
        os._exit(9)
    return [__name__, missing, ways]


@workflow
def main() -> list[object]:
    try:
        pay()
    except* Broke as group:
        assert type(group) is Several, type(group)
        both = [group.__cause__, *group.exceptions]
        assert all(type(one) is Broke for one in both)
        missing, ways = [one.missing for one in both], [one.way is Way.LOUD for one in both]
    return settle(missing, ways)


if __name__ == "__main__":
    with Worker(lease=2), Client() as client:
        print(client.start(main, id="x").result(20))
"""


@pytest.mark.parametrize("package", ["", "bank/"], ids=["file", "file of a package"])
@pytest.mark.parametrize("first", ["script", "worker"])
def test_what_one_began_the_other_goes_on_with(cli: Cli, first: str, package: str) -> None:
    if package:
        (cli.folder / package).mkdir()
        (cli.folder / package / "__init__.py").touch()
    program = cli.folder / f"{package}app.py"
    program.write_text(PROGRAM)
    name = "bank.app" if package else "app"

    def script() -> list[str]:
        return [sys.executable, str(program)]

    def worker() -> list[str]:
        return [sys.executable, "-P", "-m", "perdure.cli", "worker", str(program)]

    if first == "script":
        dies, goes_on, where = script(), worker(), name
    else:
        # Somebody has to start the run.
        (cli.folder / "start.py").write_text(
            f"from perdure import Client\nwith Client() as client:\n    client.start('{name}:main', id='x')\n"
        )
        assert cli.command([sys.executable, str(cli.folder / "start.py")]).wait(20) == 0
        dies, goes_on, where = worker(), script(), "__main__"
    assert cli.command(dies).wait(20) == 9

    cli.let_go()
    child = cli.command(goes_on)
    eventually(lambda: cli.document("show", "x")["state"] == "succeeded", 20)

    shown = cli.document("show", "x")
    assert shown["entrypoint"] == f"{name}:main"
    assert shown["result"] == [where, [3, 4], [False, True]], child
    assert [len(shown["steps"]), len(cli.log())] == [2, 1]
    assert shown["steps"][0]["error"]["type"] == f"{name}:Several"
