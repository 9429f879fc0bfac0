"""The building of Go modules, with small ones: the real ones take minutes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

import pytest

from tests.cluster.built.binaries import Module, binaries, program
from tests.cluster.built.prerequisites import Lacking, go_lack
from tests.cluster.progress import Failed
from tests.harness.eventually import eventually
from tests.harness.processes import alive

pytestmark = pytest.mark.needs("go")

TREE = str(Path(__file__).resolve().parents[3])
GO_MOD = "module example.com/program\n\ngo 1.21\n\nrequire example.com/part v1.2.3\n"
MAIN = """package main

import "os"

var gitVersion, gitMajor, gitMinor, gitTreeState string

func main() {
	os.Stdout.WriteString(os.Args[0] + " " + gitVersion + " " + gitMajor + " " + gitMinor + " " + gitTreeState)
}
"""
# What the module needs is named with a hash, so that Go has no reason left but to download it.
GO_SUM = "".join(f"example.com/part v1.2.3{what} h1:{'A' * 43}=\n" for what in ("", "/go.mod"))


@pytest.fixture(autouse=True)
def empty_cache(tmp_path, monkeypatch):
    # But for Go's own, which else lies there, too.
    monkeypatch.setenv("GOCACHE", subprocess.check_output(["go", "env", "GOCACHE"], text=True).strip())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def module(tmp_path):
    folder = tmp_path / "module"
    folder.mkdir()
    for name, text in {"go.mod": GO_MOD, "go.sum": "", "main.go": MAIN}.items():
        (folder / name).write_text(text)
    return Module("Program", folder, "example.com/part", ("program", "one", "two"), symbols="main")


@pytest.fixture
def fake_go(tmp_path, monkeypatch):
    """Puts a shell script in the place of Go."""

    def put(script):
        go = tmp_path / "bin" / "go"
        go.parent.mkdir()
        go.write_text(f"#!/bin/sh\n{script}\n")
        go.chmod(0o755)
        monkeypatch.setenv("PATH", os.pathsep.join([str(go.parent), os.environ["PATH"]]))

    return put


def silent(_):
    pass


def test_a_program_has_all_its_names_and_knows_its_version(module):
    folder = binaries(silent, [module])
    for name in ("program", "one", "two"):
        told = subprocess.check_output([folder / name], text=True)
        assert told == f"{folder}/{name} v1.2.3 1 2 clean"


def test_what_is_built_is_kept(module):
    said: list[str] = []
    folder = binaries(said.append, [module])
    assert any("Program v1.2.3" in line for line in said)
    said.clear()
    assert binaries(said.append, [module]) == folder
    assert said == []


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_another_source_is_another_entry(module, file):
    folder = binaries(silent, [module])
    with (module.folder / file).open("a") as source:
        source.write("\n")
    assert binaries(silent, [module]) != folder


@pytest.mark.parametrize("changed", [{"symbols": ""}, {"names": ("program", "other")}])
def test_another_way_to_build_is_another_entry(module, changed):
    folder = binaries(silent, [module])
    assert binaries(silent, [dataclasses.replace(module, **changed)]) != folder


def test_a_program_may_be_a_tool_that_the_module_requires(module):
    part = module.folder.parent / "part"
    (part / "command").mkdir(parents=True)
    (part / "go.mod").write_text("module example.com/part\n\ngo 1.21\n")
    (part / "command" / "main.go").write_text(MAIN)
    (module.folder / "main.go").unlink()
    (module.folder / "go.mod").write_text(
        GO_MOD.replace("1.21", "1.24") + "\ntool example.com/part/command\n\nreplace example.com/part => ../part\n"
    )
    built = program(dataclasses.replace(module, package="example.com/part/command", symbols=""), silent)
    assert subprocess.check_output([built], text=True).startswith(f"{built} ")


def test_a_program_of_its_own_leaves_the_others_as_they_are(module):
    folder = binaries(silent, [module])
    said: list[str] = []
    assert program(module, said.append).parent != folder
    assert said  # it was built
    said.clear()
    assert binaries(said.append, [module]) == folder
    assert said == []


def test_a_truncated_program_is_built_anew(module):
    folder = binaries(silent, [module])
    os.truncate(folder / "program", 1000)
    said: list[str] = []
    assert binaries(said.append, [module]) == folder
    assert "damaged" in said[0]
    subprocess.run([folder / "two"], check=True, capture_output=True)


def test_what_the_compiler_says_is_told(module):
    (module.folder / "main.go").write_text("package main\n\nfunc main() { nonsense() }\n")
    with pytest.raises(Failed, match="undefined: nonsense"):
        binaries(silent, [module])


def test_sums_that_lack_a_module_are_no_lack_of_network(module):
    (module.folder / "main.go").write_text('package main\n\nimport _ "example.com/part"\n\nfunc main() {}\n')
    with pytest.raises(Failed, match=r"missing go\.sum entry"):
        binaries(silent, [module])


def test_without_network_one_sentence_says_so(module, tmp_path, monkeypatch):
    (module.folder / "main.go").write_text('package main\n\nimport _ "example.com/part"\n\nfunc main() {}\n')
    (module.folder / "go.sum").write_text(GO_SUM)
    monkeypatch.setenv("GOPROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("GOMODCACHE", str(tmp_path / "modules"))
    with pytest.raises(Lacking) as lacking:
        binaries(silent, [module])
    message = str(lacking.value)
    assert message.startswith("No cluster here, so nothing that needs one is tested: missing is the network, ")
    assert "Program v1.2.3 must be built" in message
    assert "connection refused" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("script", "lack"),
    [
        ("echo go version go1.20.3 linux/amd64", "Go 1.21 or newer (found: go version go1.20.3 linux/amd64)"),
        ("echo go.mod requires go 1.21 >&2; exit 1", "Go 1.21 or newer (go.mod requires go 1.21)"),
        ("echo go version go1.21.0 linux/amd64", None),
        ("echo go version go1.100 linux/amd64", None),
        ("echo go version devel go1.27-abc linux/amd64", None),
    ],
)
def test_go_must_be_new_enough(module, fake_go, script, lack):
    fake_go(script)
    assert go_lack(module.folder) == lack


def test_no_go_at_all(module, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert go_lack(module.folder) == "Go 1.21 or newer"


def test_a_killed_build_ends_go_and_leaves_a_usable_cache(module, fake_go, children, monkeypatch):
    path = os.environ["PATH"]
    fake_go(
        """
        case $1 in
            version) echo go version go1.26 ;;
            list) echo package one ;;
            build) while :; do echo "$$"; sleep 0.05; done ;;
        esac
        """
    )
    build = children.code(
        f"""
        from pathlib import Path
        from tests.cluster.built import binaries

        module = binaries.Module("Program", Path({str(module.folder)!r}), "example.com/part", ("program",))
        go = binaries.output

        def told(*args, **named):
            for line in go(*args, **named):
                print("go says", line, flush=True)
                yield line

        binaries.output = told
        binaries.binaries(print, [module])
        """,
        env={"PYTHONPATH": TREE},
    )
    build.wait_for_output("go says package one")
    eventually(lambda: build.output.splitlines()[-1].removeprefix("go says ").isdigit())
    go = int(build.output.splitlines()[-1].removeprefix("go says "))
    build.kill()
    eventually(lambda: not alive(go))
    monkeypatch.setenv("PATH", path)
    folder = binaries(silent, [module])
    subprocess.run([folder / "program"], check=True, capture_output=True)
