"""An exception that one process raises and another handles, with all that hangs on it."""

from __future__ import annotations

import json

from tests.integration.cli.conftest import Cli

PROGRAM = """
import os
import traceback
from perdure import register_error, step, workflow
from pydantic import BaseModel, ValidationError


class Reply:
    def __init__(self, code: int) -> None:
        self.code = code


class Refused(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__("refused")
        self.reply = reply


class Unknown(Exception):
    def __init__(self, reply: Reply) -> None:
        super().__init__("unknown")
        self.reply = reply


class Order(BaseModel):
    lines: list[int]


register_error(Refused, lambda error: error.reply.code, lambda code: Refused(Reply(code)))


@step
def submit(how: str) -> None:
    if how == "refused":
        try:
            raise KeyError("k")
        except KeyError as error:
            raise Refused(Reply(403)) from error
    if how == "unknown":
        raise Unknown(Reply(404))
    Order.model_validate({"lines": ["x"]})


@step
def end(seen: list[str]) -> list[str]:
    with open("log", "a") as log:
        log.write("end\\n")
    if not os.path.exists("go"):
        os.abort()
    return seen


@workflow
def main() -> list[str]:
    seen = []
    for how in ("refused", "unknown", "invalid"):
        try:
            submit(how)
        except Refused as error:
            seen += [str(error.reply.code), repr(error.__cause__), "".join(traceback.format_exception(error))]
        except Unknown as error:
            try:
                seen.append(str(error.reply.code))
            except AttributeError as missing:
                seen.append(str(missing))
        except ValidationError as error:
            seen.append(repr(error.errors()))
    return end(seen)
"""


def test_is_the_same_there(cli: Cli) -> None:
    (cli.folder / "app.py").write_text(PROGRAM)
    # The step after them has their texts among its arguments, which must be the same in the attempt that goes on.
    cli("run", "app.py:main", "--id", "x", "--backoff-limit", "0", code=1)
    assert cli.log() == ["end"]
    cli.let_go()
    shown = cli.document("show", "x")
    assert [step["error"]["type"] for step in shown["steps"]] == [
        "app:Refused",
        "app:Unknown",
        "pydantic_core._pydantic_core:ValidationError",
    ]
    assert shown["steps"][0]["error"]["cause"]["type"] == "builtins:KeyError"
    assert shown["steps"][1]["error"]["not_kept"] == {"reply": "a Reply (app)"}


def test_and_the_next_attempt_goes_on_with_it(cli: Cli) -> None:
    (cli.folder / "app.py").write_text(
        PROGRAM.replace("\\\\", "\\").replace("os.abort()", "open('go', 'w'); os.abort()")
    )
    ran = json.loads(cli("run", "app.py:main", "--id", "x").output)

    assert cli.log() == ["end", "end"]
    assert ran[:2] == ["403", "KeyError('k')"]
    assert "raise Refused(Reply(403)) from error" in ran[2]
    assert ran[3].startswith("'reply' of this Unknown was not kept; it was a Reply (app)")
    assert "'loc': ('lines', 0)" in ran[4]
