# SPDX-License-Identifier: Apache-2.0
"""tools/vmm-demo: what it runs in a clone and in an installed tree. No machine boots here."""

import json
import os
import pathlib
import signal
import subprocess
import sys
from typing import Any

import pytest
from arm64_host import ROOT
from case_readers import junit_cases
from parkvmm.failure import OUTPUT_LOST, USAGE, Failure
from parkvmm.front import demo
from parkvmm.front import options as front_door
from parkvmm.guest import image, run


def command(*words: str, emulated: bool = True) -> list[str]:
    return demo.command_of(demo.parse(list(words)), pathlib.Path("/out"), ROOT / "a/Image",
                           ROOT / "a/initramfs.cpio", emulated)


def value(words: list[str], name: str) -> str:
    return words[words.index(name) + 1]


@pytest.mark.parametrize("words, reason", [
    (["--cycles", "08"], "a number is wanted, not 08"), (["--cpus", "0"], "a CPU at least, not 0"),
    (["--psci", "qemu"], "'qemu'"), (["--frob"], "--frob"), (["--cpus"], "--cpus"),
    (["--wall-clock", "--deterministic"], "not allowed with"),
    (["--native", "--deterministic"], "--native forbids it"),
    (["--native", "--emulated"], "not allowed with")])
def test_a_mistake_is_one_line(words: list[str], reason: str) -> None:
    with pytest.raises(Failure, match="; see tools/vmm-demo --help") as caught:
        demo.parse(words)
    assert caught.value.status == USAGE and reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_in_a_clone_an_arm64_host_runs_it() -> None:
    words = command("--cpus", "8", "-v")
    host, guest = words[:words.index("--")], words[words.index("--") + 1:]
    assert host == [str(ROOT / "tools/arm64-host"), "--deterministic", "--cpus", "8", "--out",
                    "/out", "--timeout", "576s"]
    assert guest[:3] == ["vmm", "run", "-v"] and guest[-3:] == [
        "--initrd", "a/initramfs.cpio", "a/Image"]
    assert value(guest, "--results") == "@RESULTS@/results.json"
    assert value(guest, "--timeout") == f"{run.guest_deadline(3, 8)}s"
    assert value(guest, "--params") == run.PARAMS and f"{run.SHORT_BOOT} park.cycles=3" in guest
    assert value(command("--wall-clock", "--cpus", "8"), "--cpus") == "4"
    assert "--deterministic" not in command("--wall-clock")
    assert command("--native", emulated=False)[1:3] == ["--native", "--cpus"]


def test_an_installed_tree_has_its_front_door_for_the_same_guest(monkeypatch) -> None:
    def guest_of(words: list[str]) -> list[str]:
        words = words[words.index("run"):]
        return [pathlib.Path(word).name if "/" in word else word for word in words]

    clone = guest_of(command("--cpus", "8"))
    monkeypatch.setattr(demo, "INSTALLED", True)
    words = command("--cpus", "8")
    assert words[:words.index("run")] == [
        sys.executable, str(ROOT / "tools/vmm"), "--deterministic", "--host-cpus", "8",
        "--deadline", "576s"]
    assert guest_of(words) == clone
    assert value(words, "--results") == "/out/results.json"
    chosen, _ = front_door.parse(words[2:])
    assert chosen.deadline == "576s" and chosen.deterministic
    assert command("--wall-clock")[2:6] == ["--host", "auto", "--host-cpus", "4"]
    assert command("--native", emulated=False)[2:5] == ["--host", "native", "run"]


def test_a_kernel_that_is_given_keeps_its_initramfs_by_its_content(tmp_path, monkeypatch) -> None:
    made: list[list[str]] = []
    monkeypatch.setattr(image, "main", made.append)
    monkeypatch.setattr(demo, "MADE", tmp_path / "made")
    given = tmp_path / "my Image"
    given.write_text("kernel")
    options = demo.parse(["--kernel", str(given)])
    kernel, initramfs = demo.files_of(options)
    assert kernel.read_text() == "kernel" and kernel.parent == initramfs.parent
    assert kernel.parent.parent == tmp_path / "made/given"
    monkeypatch.setattr(demo, "INSTALLED", True)
    assert demo.files_of(options) == (given, initramfs)
    assert made[1] == ["--kernel", str(given), "--output", str(initramfs)]
    with pytest.raises(Failure, match="no kernel .*; name a plain arm64 Image"):
        demo.files_of(demo.parse(["--kernel", str(tmp_path / "none")]))


@pytest.fixture
def scripted(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch):
    """A script in the place of what runs the guest."""
    def prepare(script: str) -> None:
        monkeypatch.setattr(demo, "files_of", lambda _: (pathlib.Path("K"), pathlib.Path("I")))
        monkeypatch.setattr(demo, "command_of", lambda options, out, *_: [
            "sh", "-c", script, "sh", str(out)])
        monkeypatch.chdir(tmp_path)
    return prepare


def test_what_came_is_told_and_copied(scripted, tmp_path, capsys: Any) -> None:
    scripted('echo console; echo {} >"$1/results.json"; exit 66')
    (tmp_path / "out").mkdir()
    (tmp_path / "out/events.jsonl").write_text("an older run's")
    assert demo.main(["--emulated", "--out", "out", "--json", "copy.json"]) == 66
    assert json.loads((tmp_path / "copy.json").read_text()) == {}
    assert (tmp_path / "out/console.log").read_text() == "console\n"
    assert not (tmp_path / "out/events.jsonl").exists()
    said = capsys.readouterr().err
    assert said.startswith("demo: 3 kexecs of Debian's kernel with 4 CPUs, its boot cut short;")
    assert said.endswith("out/results.json out/events.jsonl out/console.log\n"
                         "demo: FAILED with exit status 66; the lines above say why\n")


def test_a_run_that_goes_well_has_no_failure(scripted, tmp_path, capsys: Any) -> None:
    document = {"label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": [
        {"name": name, "outcome": "passed", "ns": 1, "id": None, "message": None, "details": []}
        for name in ("boot", "end")]}
    scripted(f"echo '{json.dumps(document)}' >\"$1/results.json\"")
    assert demo.main(["--emulated", "--format", f"github:{tmp_path}/summary.md"]) == 0
    assert "FAILED" not in capsys.readouterr().err
    assert "\n2 of 2 cases went well\n" in (tmp_path / "summary.md").read_text()


def test_another_kernel_may_be_named() -> None:
    assert demo.parse(["--kernel", "debian:7.3"]).kernel == "debian:7.3"
    assert demo.parse([]).kernel == ""


def test_formats_have_the_cases_of_the_run(scripted, tmp_path, capsys: Any) -> None:
    document: dict[str, Any] = {"label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": [
        {"name": "end", "outcome": "failed", "ns": None, "id": "guest-panic",
         "message": "it panicked", "details": []}]}
    scripted(f"echo '{json.dumps(document)}' >\"$1/results.json\"; exit 64")
    words = ["--emulated", "--format", f"junit:{tmp_path}/j.xml", "--format", "text"]
    assert demo.main(words) == 64
    assert junit_cases((tmp_path / "j.xml").read_text()) == {
        "stock": {"end": "failed guest-panic"}}
    assert capsys.readouterr().out.endswith("1 failed\n")
    scripted("exit 69")
    assert demo.main(words) == 69
    assert junit_cases((tmp_path / "j.xml").read_text()) == {"stock": {"end": "error no-results"}}
    scripted(f"echo '{json.dumps(document | {'cases': []})}' >\"$1/results.json\"")
    assert demo.main(["--emulated", "--format", "tap:/dev/full"]) == OUTPUT_LOST


def test_a_signal_reaches_what_runs_the_guest(tmp_path, usual_signals) -> None:
    script = "trap 'echo told; exit 5' TERM; echo ready >ready; read -r line <pipe"
    os.mkfifo(tmp_path / "pipe")
    os.mkfifo(tmp_path / "ready")
    code = ("import pathlib, sys; sys.path.insert(0, sys.argv[1]); from parkvmm.front import demo;"
            "demo.ROOT = sys.argv[2]; "
            "sys.exit(demo.run(['sh', '-c', sys.argv[3]], pathlib.Path(sys.argv[2], 'console')))")
    words = [sys.executable, "-c", code, ROOT / "tools", tmp_path, script]
    with subprocess.Popen(words) as process:
        assert (tmp_path / "ready").read_text() == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 5
    assert (tmp_path / "console").read_text() == "told\n"
