"""Log records say which run, attempt and step they come from, however the workflow is run."""

from __future__ import annotations

import sys
import textwrap

from perdure import Client
from tests.harness.databases import Database
from tests.harness.processes import Children
from tests.integration.cli.conftest import Cli

LOGGING = """
import asyncio, logging, sys, threading
from perdure import step, workflow

# As an application configures it before it knows of any run.
logging.basicConfig(
    stream=sys.stderr, level=logging.INFO, format="[%(perdure_run)s|%(perdure_attempt)s|%(perdure_step)s] %(message)s"
)
log = logging.getLogger("shop")
log.info("imported")

@step
def charge():
    log.info("charging")

@step(timeout=10)
def ship():
    log.info("shipping")

@step
async def mail():
    await asyncio.sleep(0)
    log.info("mailing")

@workflow
async def order():
    charge()
    ship()
    await asyncio.gather(mail(), mail())
    log.info("between")
"""


def lines_of(run: str, attempt: int = 1) -> set[str]:
    places = {
        "charging": "charge",
        "shipping": "ship",
        "between": "",
    }
    return {f"[{run}|{attempt}|{step}] {said}" for said, step in places.items()} | {
        f"[{run}|{attempt}|1/mail] mailing",
        f"[{run}|{attempt}|2/mail] mailing",
        "[||] imported",
    }


def told(errors: str) -> set[str]:
    return {line for line in errors.splitlines() if line.startswith("[")}


def test_under_perdure_run(cli: Cli) -> None:
    (cli.folder / "shop.py").write_text(LOGGING)
    ran = cli("run", "shop.py:order", "-o", "json")
    run = str(cli.query("SELECT id FROM perdure.runs")[0][0])

    assert told(ran.errors) == lines_of(run)


def test_under_a_worker(cli: Cli, database: Database) -> None:
    (cli.folder / "shop.py").write_text(LOGGING)
    worker = cli.start("worker", "shop.py")
    with Client(database.url) as client:
        handle = client.start("shop:order")
        handle.result(30)

    assert lines_of(str(handle.run_id)) <= told(worker.errors)


def test_in_a_test_of_a_workflow_and_in_a_program_with_a_client(cli: Cli, children: Children) -> None:
    (cli.folder / "shop.py").write_text(LOGGING)
    (cli.folder / "program.py").write_text(
        textwrap.dedent("""\
            from perdure import Client
            Client().close()
            import shop
            from perdure.testing import DurableRun
            run = DurableRun(shop.order)
            run.result()
            print(run.run_id)
        """)
    )
    child = children.start([sys.executable, "program.py"], cwd=cli.folder, env=cli.environment)

    assert child.wait(20) == 0, child.errors
    assert told(child.errors) == lines_of(child.output.strip())
