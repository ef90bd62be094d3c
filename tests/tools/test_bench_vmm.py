# SPDX-License-Identifier: Apache-2.0
"""tools/bench-vmm with machines that are made up."""

import json
import pathlib
import struct

import pytest
from done import Done
from parkvmm.bench import vmm, vmm_costs, vmm_guests
from parkvmm.failure import DATA, UNAVAILABLE, USAGE, Failure
from parkvmm.labels import VIRTUAL_TIME

SAID = """[probe] small-1 start_ns 3440000
vmm: something else
[probe] small-1 end_ns 15170000
[probe] linux-1 own_bytes 266000
"""
FIGURES = {"small-1 start_ns": 3_440_000, "small-1 end_ns": 15_170_000,
           "linux-1 own_bytes": 266_000}


# --- what is measured --------------------------------------------------------

@pytest.mark.parametrize("cpus, host_cpus", [(1, "4"), (8, "8")])
def test_figures_are_read_from_what_the_probe_says(monkeypatch, cpus, host_cpus) -> None:
    done = Done(stdout=SAID)
    monkeypatch.setattr(vmm.subprocess, "run", done)
    assert vmm.measure_vmm(cpus) == FIGURES
    (words,) = done.commands
    assert "--deterministic" in words and words[words.index("--cpus") + 1] == host_cpus
    files = [words[i + 1] for i, word in enumerate(words) if word == "--file"]
    assert files == [vmm_guests.PROBE, *vmm_guests.GUESTS]
    lines = words[-1].splitlines()
    assert [line.split()[2:5] for line in lines] == [
        [mode, f"{row}-{cpus}", mib] for mode, row, mib in (
            ("start", "small", "64"), ("start", "linux", "1024"),
            ("start", "small-results", "64"), ("start", "linux-results", "1024"),
            ("idle", "linux", "1024"), ("kexecs", "kexecs", "64"),
            ("kexecs", "kexecs-results", "64"))]
    assert [line.split()[5] for line in lines[:4]] == ["5", "1", "5", "1"]
    for line in lines:
        assert f" vmm run --cpus {cpus} --memory {line.split()[4]}M " in line
        assert ("-results" in line.split()[3]) == (" --results /tmp/results.json " in line)
        assert (" --raw " in line) == ("linux" not in line.split()[3])
    assert "park.end=idle" in lines[4]


def test_a_machine_that_fails_ends_the_measurement(monkeypatch) -> None:
    monkeypatch.setattr(vmm.subprocess, "run", Done(69, stderr="no QEMU\n"))
    with pytest.raises(Failure, match="ended with 69:\nno QEMU$") as failed:
        vmm.measure_vmm(1)
    assert failed.value.status == 69


def test_qemu_runs_the_same_guests_after_its_libraries_are_there(monkeypatch) -> None:
    done = Done(stdout="[probe] small-qemu-8 start_ns 1\n")
    monkeypatch.setattr(vmm.subprocess, "run", done)
    assert vmm.measure_qemu(8) == {"small-qemu-8 start_ns": 1}
    (words,) = done.commands
    assert "build/peer" in words
    link, warm, *lines = words[-1].splitlines()
    assert link == 'ln -s "$PWD/build/peer/lib" /lib'
    assert warm == "build/peer/bin/qemu-system-aarch64 --version >/dev/null"
    assert [line.split()[2:5] for line in lines] == [
        ["start", "small-qemu-8", "64"], ["start", "linux-qemu-8", "1024"],
        ["idle", "linux-qemu-8", "1024"]]
    assert all(" -accel kvm " in line and " -smp 8 " in line for line in lines)
    assert " -m 64M -append '' -kernel build/arm64/stub/system_off.bin" in lines[0]
    assert " -initrd build/guest/initramfs.cpio -kernel build/guest/debian/Image" in lines[2]


def program(*segments: int, machine: int = 183) -> bytes:
    """Returns an ELF file whose program headers are of these types."""
    header = b"\x7fELF\x02".ljust(16, b"\0") + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    return header + b"".join(struct.pack("<I", kind).ljust(56, b"\0") for kind in segments)


def test_a_kvmtool_is_taken_along(monkeypatch, tmp_path) -> None:
    seen = []

    def run(command, **_keywords):
        inside = command[command.index("--") - 1]
        copy = vmm.ROOT / inside
        seen.append((inside, copy.read_bytes(), copy.stat().st_mode & 0o777, command[-1]))
        return Done(stdout="[probe] linux-kvmtool-1 threads 9\n")(command)

    monkeypatch.setattr(vmm.subprocess, "run", run)
    (tmp_path / "lkvm").write_bytes(program(1))
    assert vmm.measure_kvmtool(1, tmp_path / "lkvm") == {"linux-kvmtool-1 threads": 9}
    (inside, content, mode, script), = seen
    assert content == program(1) and mode == 0o755 and not (vmm.ROOT / inside).exists()
    small, linux, idle = script.splitlines()
    assert f" start small-kvmtool-1 64 5 {inside} run --cpus 1 --mem 64 " in small
    assert f" start linux-kvmtool-1 1024 1 {inside} run " in linux
    assert "'console=ttyS0 " in idle and " idle linux-kvmtool-1 " in idle


def test_a_program_that_the_host_could_not_run_is_a_usage_error(tmp_path) -> None:
    path = tmp_path / "lkvm"
    path.write_bytes(program(1, 2))
    vmm_guests.require_static_arm64(path)
    for content, complaint in ((b"#!/bin/sh\n", "no program for arm64"),
                               (program(1, machine=62), "no program for arm64"),
                               (program(1, 3), "is not linked statically")):
        path.write_bytes(content)
        with pytest.raises(Failure, match=complaint) as failed:
            vmm_guests.require_static_arm64(path)
        assert failed.value.status == USAGE


# --- tables ------------------------------------------------------------------

def test_a_table_has_a_column_for_each_number_of_vcpus() -> None:
    figures = {"small-8 start_ns": 4_370_000, "small-1 start_ns": 3_440_000,
               "linux-results-1 start_ns": 190_000_000, "linux-qemu-8 start_ns": 295_000_000,
               "kexecs-1 after_5_bytes": 188_416, "kexecs-results-8 after_100_bytes": 516_096,
               "linux-1 threads": 2}
    assert vmm.tables(figures) == """\
| start to the guest's first instruction, ms | 1 vCPU | 8 vCPUs |
|---|--:|--:|
| small | 3.44 | 4.37 |
| linux, `--results` | 190.00 |  |
| linux, QEMU |  | 295.00 |

| own memory, without program text, KB | 1 vCPU | 8 vCPUs |
|---|--:|--:|
| kexecs, after 5 | 188 |  |
| kexecs, `--results`, after 100 |  | 516 |

| threads | 1 vCPU | 8 vCPUs |
|---|--:|--:|
| linux | 2 |  |"""


def test_only_the_tables_of_a_document_are_written() -> None:
    tables = f"{vmm_costs.BEGIN}\n\n{vmm_costs.tables(FIGURES)}\n\n"
    end = f"{vmm_costs.END}\nafter\n"
    before = f"a | b\n{vmm_costs.BEGIN}\nold\n{end}"
    record = {"figures": FIGURES}
    assert vmm_costs.written(before, record) == f"a | b\n{tables}{end}"
    assert vmm_costs.written(before, {**record, "qemu": "1:7.2"}) == (
        f"a | b\n{tables}QEMU is Debian 12's, 1:7.2.\n\n{end}")
    with pytest.raises(Failure, match="has no lines") as failed:
        vmm_costs.written("no marks\n", record)
    assert failed.value.status == DATA


def test_the_documents_tables_are_what_was_recorded() -> None:
    document = vmm.DOCUMENT.read_text()
    assert vmm_costs.written(document, vmm.recorded()) == document


# --- what got worse ----------------------------------------------------------

def test_a_figure_may_be_three_percent_worse_than_recorded() -> None:
    assert vmm.complaints({**FIGURES, "linux-1 own_bytes": 273_980}, FIGURES) == []
    assert vmm.complaints({**FIGURES, "linux-1 own_bytes": 273_981}, FIGURES) == [
        "linux-1 own_bytes was 266000 and is 273981"]
    # When its timers meet depends on all that came before.
    idle = {"linux-1 idle_ns": 1_000_000}
    assert vmm.complaints({"linux-1 idle_ns": 1_150_000}, idle) == []
    assert vmm.complaints({"linux-1 idle_ns": 1_150_001}, idle) == [
        "linux-1 idle_ns was 1000000 and is 1150001"]
    # The host's grace periods.
    assert vmm.complaints({**FIGURES, "small-1 end_ns": 99_000_000}, FIGURES) == []


def test_a_figure_that_is_gone_is_told() -> None:
    assert vmm.complaints({"linux-1 own_bytes": 1}, FIGURES) == [
        "small-1 start_ns was not measured"]


def test_neither_peers_nor_other_numbers_of_vcpus_are_complained_of() -> None:
    others = {"small-8 start_ns": 1, "small-qemu-1 start_ns": 1, "linux-kvmtool-1 threads": 1}
    assert vmm.complaints({**FIGURES, "small-qemu-1 start_ns": 2}, {**FIGURES, **others}) == []


def test_kexecs_that_leave_memory_behind_are_told() -> None:
    figures = {"kexecs-8 after_5_bytes": 100_000, "kexecs-8 after_100_bytes": 103_000,
               "kexecs-results-8 after_5_bytes": 100_000,  # It has them all, to write them.
               "kexecs-results-8 after_100_bytes": 900_000}
    assert vmm.complaints(figures, {}) == []
    figures["kexecs-8 after_100_bytes"] += 1
    assert vmm.complaints(figures, {}) == [
        "kexecs-8 takes 100000 bytes after 5 kexecs and 103001 after 100"]


# --- the command -------------------------------------------------------------

@pytest.fixture
def record(monkeypatch, tmp_path) -> pathlib.Path:
    """A record and a document of their own, and a machine that says FIGURES."""
    path = tmp_path / "record.json"
    path.write_text(json.dumps({"qemu": "7", "figures": {"linux-1 threads": 2}}))
    monkeypatch.setattr(vmm, "RECORD", path)
    monkeypatch.setattr(vmm, "DOCUMENT", tmp_path / "document")
    vmm.DOCUMENT.write_text(f"{vmm_costs.BEGIN}\n{vmm_costs.END}\n")
    monkeypatch.setattr(vmm, "measure_vmm", lambda cpus: dict(FIGURES))
    return path


def test_figures_are_checked_and_written_if_asked_for(record, tmp_path, capsys) -> None:
    assert vmm.main(["--json", str(tmp_path / "out")]) == 0
    said = capsys.readouterr()
    assert said.out == vmm.tables(FIGURES) + "\n" and not said.err
    assert json.loads((tmp_path / "out").read_text()) == {
        "schema_version": 1, "label": VIRTUAL_TIME, "figures": FIGURES}
    assert vmm.main(["--check"]) == 1
    assert capsys.readouterr().err == "bench-vmm: linux-1 threads was not measured\n"


def test_what_is_recorded_is_in_the_document(record) -> None:
    assert vmm.main(["--record"]) == 0
    merged = {"linux-1 threads": 2, **FIGURES}
    assert json.loads(record.read_text()) == {
        "schema_version": 1, "label": VIRTUAL_TIME, "qemu": "7", "figures": merged}
    assert vmm.tables(merged) in vmm.DOCUMENT.read_text()
    record.write_text(json.dumps({"figures": {"linux-1 threads": 3}}))
    assert vmm.main(["--write-docs"]) == 0
    assert vmm.tables({"linux-1 threads": 3}) in vmm.DOCUMENT.read_text()


def test_peers_are_measured_if_asked_for(record, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(vmm_guests, "PEER", tmp_path / "peer")
    monkeypatch.setattr(vmm, "measure_qemu", lambda cpus: {f"linux-qemu-{cpus} threads": 10})
    monkeypatch.setattr(vmm, "measure_kvmtool", lambda cpus, path: {
        f"linux-kvmtool-{cpus} threads": len(path.name)})
    words = ["--cpus", "8", "--json", str(tmp_path / "out")]
    with pytest.raises(Failure, match="run tools/setup peer") as failed:
        vmm.main([*words, "--qemu"])
    assert failed.value.status == UNAVAILABLE
    (tmp_path / "peer").mkdir()
    (tmp_path / "peer/version").write_text("1:7.2\n")
    (tmp_path / "lkvm").write_bytes(program())
    assert vmm.main([*words, "--qemu", "--kvmtool", str(tmp_path / "lkvm")]) == 0
    assert json.loads((tmp_path / "out").read_text()) == {
        "schema_version": 1, "label": VIRTUAL_TIME, "qemu": "1:7.2", "figures": {
            **FIGURES, "linux-qemu-8 threads": 10, "linux-kvmtool-8 threads": 4}}


@pytest.mark.parametrize("words", [["--cpus", "0"], ["--cpus", "513"], ["--cpus", "1,"],
                                   ["--cpus", "many"], ["--check", "--record"]])
def test_what_it_cannot_measure_is_a_usage_error(words) -> None:
    with pytest.raises(SystemExit) as ended:
        vmm.main(words)
    assert ended.value.code == 2
