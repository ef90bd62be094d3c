# SPDX-License-Identifier: Apache-2.0
"""tools/bench stress, with runs that are made up."""

import json
import pathlib

import pytest
from case_readers import junit_cases
from parkvmm.bench import command, stress
from parkvmm.bench.stress import Way
from parkvmm.failure import DIFFERS, INTERRUPTED, USAGE, Failure
from parkvmm.front import options as front_door
from parkvmm.front.words import said, values_of
from parkvmm.guest import arms

RESULTS = {"label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": [
    {"name": "kexec 1", "outcome": "passed", "ns": 1, "id": None, "message": None,
     "details": []}]}


@pytest.fixture
def kernels(tmp_path: pathlib.Path) -> list[str]:
    for name in ("old", "new", "next"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Image").write_text(name)
    return [str(tmp_path / name / "Image") for name in ("old", "new", "next")]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Way, pathlib.Path]]:
    """Ways that were run; each leaves results."""
    made: list[tuple[Way, pathlib.Path]] = []

    def run(way: Way, options: object, out: pathlib.Path) -> int:
        made.append((way, out))
        out.mkdir(parents=True, exist_ok=True)
        (out / "results.json").write_text(json.dumps(RESULTS))
        (out / "vmm.log").write_text("vmm: x\nparkvmm: 200 of 200 kexecs\n")
        return 0

    monkeypatch.setattr(stress, "run", run)
    monkeypatch.setattr(stress, "prepare", lambda options: None)
    return made


def test_each_kernel_meets_itself_and_each_other_one(kernels) -> None:
    old, new, other = kernels
    ways = stress.ways_of(kernels)
    assert [(way.first, way.other) for way in ways] == [
        (old, old), (new, new), (other, other), (old, new), (old, other), (new, other)]
    assert [way.name for way in ways][::3] == ["old-Image", "old-Image-to-new-Image"]


def test_kernels_of_one_name_are_refused() -> None:
    with pytest.raises(Failure, match="give them folders of different names"):
        stress.ways_of(["a/x/Image", "b/x/Image"])
    assert stress.ways_of(["debian:7.3"])[0].name == "debian-7.3"


def test_a_run_is_a_call_of_the_front_door(kernels, tmp_path) -> None:
    old, new, _ = kernels
    options = stress.parse([old, new, "--kexecs", "7", "--cpus", "4", "-p", "quiet", "-i", "my",
                            "--", "./test", "--", "-x"])
    words = stress.words_of(Way(old, new), options, tmp_path)
    assert words[1] == "--deterministic" and words[words.index("--kexec") + 1] == "7"
    assert words[words.index("--params") + 1] == "quiet"
    end = words.index("--")
    assert words[end - 3:] == ["--next", new, old, "--", "./test", "--", "-x"]
    assert words[words.index("--initrd") + 1] == "my"
    alone = stress.words_of(Way(old, old), stress.parse([old, "--wall-clock"]), tmp_path)
    assert "--next" not in alone and "--deterministic" not in alone
    assert alone[-4:] == [old, "--", "/bin/busybox", "true"]
    assert alone[alone.index("--initrd") + 1] == str(stress.EMPTY_ROOT)
    folder = stress.words_of(Way(old, old), stress.parse([old, "--rootfs", "/r"]), tmp_path)
    assert folder[folder.index("--rootfs") + 1] == "/r" and "--initrd" not in folder
    for call in (words, alone, folder):
        chosen, its_words = front_door.parse(call[1:])
        assert chosen.deadline and said(values_of(its_words[1:]), "--kexec")


@pytest.mark.parametrize("words, reason", [
    (["--cpus", "0"], "--cpus 0: 1 to 512"), (["--kexecs", "0"], "--kexecs 0: one at least"),
    (["--", "./test"], "a command needs a root"), (["no/such"], "no kernel no/such"),
    (["debian:x"], "debian:x"), (["--format", "x"], "x is not one of")])
def test_a_mistake_is_told_before_anything_runs(kernels, calls, words, reason) -> None:
    with pytest.raises(Failure) as caught:
        stress.main([kernels[0], *words])
    assert caught.value.status == USAGE and reason in str(caught.value)
    assert not calls


def test_all_ways_are_run_and_told(kernels, calls, tmp_path, capsys) -> None:
    words = ["stress", *kernels[:2], "--out", str(tmp_path / "out"), "--format",
             f"junit:{tmp_path}/j.xml"]
    assert command.main(words) == 0
    assert [out.name for _, out in calls] == ["old-Image", "new-Image", "old-Image-to-new-Image"]
    assert junit_cases((tmp_path / "j.xml").read_text()) == {
        out.name: {"kexec 1": "passed"} for _, out in calls}
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == "old-Image: parkvmm: 200 of 200 kexecs"
    assert "stress: 3 of 3 runs went well; everything:" in said.err


@pytest.mark.parametrize("statuses, status, runs", [
    ([0, 66, 0], DIFFERS, 3), ([INTERRUPTED, 0, 0], INTERRUPTED, 1), ([69, 0, 0], DIFFERS, 3)])
def test_a_run_that_fails_is_the_status(kernels, calls, tmp_path, monkeypatch, statuses, status,
                                        runs) -> None:
    left = iter(statuses)
    good = stress.run
    monkeypatch.setattr(stress, "run", lambda *words: good(*words) or next(left))
    assert stress.main([*kernels[:2], "--out", str(tmp_path / "out")]) == status
    assert len(calls) == runs


def test_an_earlier_calls_results_are_not_this_ones(kernels, tmp_path, monkeypatch) -> None:
    options = stress.parse([kernels[0]])
    (tmp_path / "results.json").write_text(json.dumps(RESULTS))
    monkeypatch.setattr(stress, "words_of", lambda *words: ["sh", "-c", "echo no >&2; exit 69"])
    assert stress.run(Way(kernels[0], kernels[0]), options, tmp_path) == 69
    assert not (tmp_path / "results.json").exists()
    assert stress.last_line(tmp_path / "vmm.log") == "no"
    monkeypatch.setattr(stress, "words_of", lambda *words: ["sh", "-c", "kill -KILL $$"])
    assert stress.run(Way(kernels[0], kernels[0]), options, tmp_path) == 137


def test_what_it_takes_is_built_first(kernels, monkeypatch) -> None:
    built: list[tuple[str, ...]] = []
    monkeypatch.setattr(arms, "build", lambda *words: built.append(words))
    stress.prepare(stress.parse(["debian:7.3", kernels[0]]))
    assert built[2] == ("tools/kernel", "fetch", "debian:7.3")
    assert built[-1][:2] == ("tools/guest-image", "--no-kernel")
    built.clear()
    stress.prepare(stress.parse([kernels[0], "-i", "x"]))
    assert [words[0] for words in built] == ["tools/setup", "tools/build"]
