from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.harness.cache import entry, home

TREE = str(Path(__file__).resolve().parents[3])

# Makes an entry as soon as the file argv[1] exists.
MAKER = """
    import sys, time
    from pathlib import Path
    from tests.harness.cache import entry

    def make(into):
        print("making", flush=True)
        (into / "half").write_text("half")
        while not Path(sys.argv[1]).exists():
            time.sleep(0.01)
        (into / "rest").write_text("rest")

    print(entry("things", "key", make, lambda line: print(line, flush=True)))
"""


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def maker(children, tmp_path):
    return lambda: children.code(MAKER, str(tmp_path / "go"), env={"PYTHONPATH": TREE})


def made(key="key", text="whole"):
    """Ask for an entry; its folder and whether it had to be made."""
    makings = []

    def make(into):
        makings.append(into)
        (into / "program").write_text(text)
        (into / "folder").mkdir()
        (into / "folder" / "data").write_text("data")
        (into / "link").symlink_to("program")

    return entry("things", key, make, lambda _: None), bool(makings)


def test_an_entry_is_made_once():
    folder, first = made()
    assert (folder / "program").read_text() == "whole"
    assert first
    assert made() == (folder, False)


def test_another_key_is_another_entry():
    folder, _ = made()
    other, first = made(key="other", text="other")
    assert first
    assert ((folder / "program").read_text(), (other / "program").read_text()) == ("whole", "other")


def test_of_two_runs_at_once_one_makes_it_and_the_other_says_that_it_waits(maker, tmp_path):
    first = maker()
    first.wait_for_output("making")
    second = maker()
    second.wait_for_output("Another run is making things: waiting for it")
    (tmp_path / "go").touch()
    assert (first.wait(), second.wait()) == (0, 0)
    assert "making\n" not in second.output
    assert second.output.splitlines()[-1] == first.output.splitlines()[-1]


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: os.truncate(folder / "program", 3),
        lambda folder: (folder / "program").write_text("WHOLE"),
        lambda folder: (folder / "folder" / "data").unlink(),
        lambda folder: [(folder / "link").unlink(), (folder / "link").symlink_to("folder/data")],
        lambda folder: (folder / "SHA256SUMS").unlink(),
        lambda folder: (folder / "SHA256SUMS").write_text(""),
        lambda folder: (folder / "SHA256SUMS").write_bytes(b"\xff"),
    ],
    ids=["truncated", "changed", "missing", "link elsewhere", "no sums", "empty sums", "garbled sums"],
)
def test_a_damaged_entry_is_made_anew(damage):
    folder, _ = made()
    damage(folder)
    assert made() == (folder, True)
    assert (folder / "link").read_text() == "whole"
    assert made() == (folder, False)


def test_a_killed_maker_leaves_a_usable_cache(maker):
    killed = maker()
    killed.wait_for_output("making")
    killed.kill()
    folder, first = made()
    assert first
    assert not (folder / "half").exists()
    assert {path.name for path in home().iterdir()} == {folder.name, "things.lock"}


def test_a_failed_maker_leaves_nothing():
    def fail(into):
        (into / "half").write_text("half")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        entry("things", "key", fail, lambda _: None)
    assert {path.name for path in home().iterdir()} == {"things.lock"}
    assert made()[1]


def test_of_old_entries_the_last_three_stay_and_whatever_was_used_today():
    long_ago = time.time() - 7 * 24 * 3600
    old = [made(key=f"old{age}")[0] for age in range(4)]
    for age, folder in enumerate(old):
        os.utime(folder, (long_ago, long_ago - age))
    today = [made(key=f"today{number}")[0] for number in range(3)]
    assert [folder.exists() for folder in old] == [False] * 4
    today += [made(key=f"more{number}")[0] for number in range(3)]
    assert all(folder.exists() for folder in today)


def test_using_an_entry_keeps_it():
    kept, _ = made(key="kept")
    os.utime(kept, (0, 0))
    made(key="kept")
    for number in range(4):
        made(key=f"other{number}")
    assert kept.exists()
