"""`perdure exec` of a run that brings its source: those files, and no others, are its code, in every attempt."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.harness.disk import Disk
from tests.harness.processes import signal_all
from tests.harness.workspace import Workspace
from tests.integration.pod.attempts import Attempts

BANK = """
from pathlib import Path
import sys
from perdure import step, workflow
from ledger.book import entry

@step
def note(text):
    with open("log", "a") as log:
        log.write(text + "\\n")
    while text == "wait" and not Path("go").exists():
        pass
    return text

@workflow
def transfer():
    folder = Path(__file__).parent
    rates = (folder / "data" / "rates.csv").read_text()
    return [note("wait"), entry(), str(folder), oct(folder.stat().st_mode)[-3:], rates]
"""
FILES = {
    "bank.py": BANK,
    "ledger/__init__.py": "",
    "ledger/book.py": "def entry():\n    return 'booked'\n",
    "data/rates.csv": "a,b\r\né\r\n",
}


def source(files: object) -> str:
    return json.dumps({"files": files})


def claim(attempts: Attempts, files: object, entrypoint: str = "bank:transfer"):
    return attempts.claim_again(attempts.store.insert(None, entrypoint=entrypoint, source=source(files)))


@pytest.fixture
def temporary(workspace: Workspace) -> Path:
    """TMPDIR of the attempts."""
    return workspace.new_folder("tmp")


def test_the_files_are_there_to_be_imported_and_read_and_gone_afterwards(attempts: Attempts, temporary: Path) -> None:
    attempts.let_go()
    attempt = claim(attempts, FILES)
    process = attempts.exec(attempt, TMPDIR=str(temporary))

    assert process.wait(20) == 0, process.errors
    noted, entry, folder, mode, rates = attempts.store.run(attempt.run)["result"]
    assert (noted, entry, rates, mode) == ("wait", "booked", "a,b\né\n", "700")
    assert Path(folder).parent == temporary
    assert list(temporary.iterdir()) == []


def test_they_come_before_what_the_image_has(attempts: Attempts, temporary: Path) -> None:
    attempts.let_go()
    other = "from perdure import workflow\n@workflow\ndef transfer():\n    return 'the image'\n"
    (attempts.folder / "bank.py").write_text(other)
    imported = temporary / "imported"
    imported.mkdir()
    (imported / "bank.py").write_text(other)
    attempt = claim(attempts, FILES)

    assert attempts.exec(attempt, PERDURE_IMPORT_PATH=str(imported)).wait(20) == 0
    assert attempts.store.run(attempt.run)["result"][0] == "wait"


def test_what_the_image_has_is_still_found_behind_them(attempts: Attempts) -> None:
    (attempts.folder / "rates.py").write_text("RATE = 3\n")
    text = "from rates import RATE\nfrom perdure import workflow\n@workflow\ndef transfer():\n    return RATE\n"
    attempt = claim(attempts, {"bank.py": text})

    assert attempts.exec(attempt).wait(20) == 0
    assert attempts.store.run(attempt.run)["result"] == 3


def test_a_resumed_run_has_the_code_that_it_started_with(attempts: Attempts, temporary: Path) -> None:
    attempt = claim(attempts, FILES)
    first = attempts.exec(attempt, TMPDIR=str(temporary))
    attempts.wait_for("wait")
    signal_all([first.pid, *first.descendants()], signal.SIGKILL)
    first.wait()
    attempts.let_go()
    (attempts.folder / "bank.py").write_text("changed meanwhile")

    again = attempts.claim_again(attempt.run)
    assert attempts.exec(again, TMPDIR=str(temporary)).wait(20) == 0
    assert attempts.store.run(attempt.run)["result"][:2] == ["wait", "booked"]
    assert attempts.log() == ["wait", "wait"]


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"../bank.py": BANK}, "leads elsewhere"),
        ({"/etc/bank.py": BANK}, "no name of a file below"),
        ({"bank.py": BANK, "json.py": ""}, "Python's or Perdure's own module 'json'"),
        ({}, "it has no files"),
        (["bank.py"], "it maps their names to their texts"),
        ({"bank.py": 3}, "it maps their names to their texts"),
    ],
)
def test_files_that_cannot_be_written_end_the_run_with_a_word(attempts: Attempts, files: object, said: str) -> None:
    attempt = claim(attempts, files)
    process = attempts.exec(attempt)

    assert process.wait(20) == 1
    row = attempts.store.run(attempt.run)
    assert (row["state"], row["error"]["type"]) == ("failed", "perdure.errors:EntrypointError")
    assert said in row["error"]["message"]
    assert said in process.errors


def test_a_module_that_is_not_among_them_is_named(attempts: Attempts) -> None:
    attempt = claim(attempts, {"bank.py": BANK.replace("ledger.book", "ledgers.book")})

    assert attempts.exec(attempt).wait(20) == 1
    assert "ledgers" in attempts.store.run(attempt.run)["error"]["message"]


def test_no_place_for_them_is_no_failure_of_the_workflow(attempts: Attempts, temporary: Path) -> None:
    disk = Disk(temporary, 64 << 10)
    try:
        temporary.chmod(0o777)
        attempt = claim(attempts, {**FILES, "large.txt": "x" * (128 << 10)})
        process = attempts.exec(attempt, TMPDIR=str(temporary))
        assert process.wait(20) == 75
        assert list(temporary.iterdir()) == []
    finally:
        disk.close()
    assert attempts.store.run(attempt.run)["state"] == "pending"
    ended = attempts.attempt(attempt.run, 1)
    assert ended["ending"] == "released"
    assert "No space left on device" in ended["detail"]
    assert "an emptyDir on /tmp" in ended["detail"]
