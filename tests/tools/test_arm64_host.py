# SPDX-License-Identifier: Apache-2.0
"""tools/arm64-host, always emulated so that it is the same test everywhere."""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
from parkvmm.debian import kernels
from parkvmm.host import contents, options, saved

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "arm64-host"
DEADLINE = 60  # seconds for one boot; it takes three

# Without one: a skip that says so, or a failure where one is required.
needs_emulator = pytest.mark.usefixtures("host")


def run(*words: str, tool: pathlib.Path = TOOL) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(tool), *words], capture_output=True, text=True,
                          timeout=DEADLINE, check=False)


def emulated(*words: str) -> subprocess.CompletedProcess[str]:
    return run("--emulated", "--cpus", "2", "--memory", "1G", *words)


def processes_of_group(leader: int) -> list[str]:
    """Command names of what runs below a process, itself included."""
    children = f"/proc/{leader}/task/{leader}/children"
    with open(f"/proc/{leader}/comm") as name, open(children) as pids:
        return [name.read().strip()] + [
            line for pid in pids.read().split() for line in processes_of_group(int(pid))]


@pytest.mark.parametrize("words, complaint", [
    ([], "no command"),
    (["--", ], "no command"),
    (["--cpus", "0", "--", "true"], "no number from 1 to 512"),
    (["--cpus", "9", "--gic", "2", "--", "true"], "GICv2 serves 8 CPUs at most"),
    (["--memory", "lots", "--", "true"], "no size"),
    (["--timeout", "soon", "--", "true"], "no duration"),
    (["--file", "../etc/passwd", "--", "true"], "inside the repository"),
    (["--deterministic", "--native", "--", "true"], "--native forbids it"),
    (["--frobnicate", "--", "true"], "--frobnicate"),
])
def test_bad_options_get_one_line(words: list[str], complaint: str) -> None:
    result = run(*words)
    assert result.returncode == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_kernel_names_the_remedy(tmp_path: pathlib.Path) -> None:
    shutil.copytree(ROOT / "tools/parkvmm", tmp_path / "tools/parkvmm")
    tool = pathlib.Path(shutil.copy(TOOL, tmp_path / "tools"))
    result = run("--emulated", "--", "true", tool=tool)
    assert result.returncode == 69
    assert "run tools/setup" in result.stderr
    assert result.stderr.count("\n") == 1


@needs_emulator
def test_a_time_is_no_octal_number_of_the_hosts_awk() -> None:
    """busybox takes 075666 for one: of 47 ms that a start took it made 3."""
    probe = "tools/parkvmm/bench/vmm-probe.sh"
    result = emulated("--file", probe, "--", "sh", "-euc", """
        mkdir -p instances/first
        cat >instances/first/trace <<END
# tracer: nop
  vmm-202 [006] .....     4.028666: sched_process_exec: filename=vmm pid=202
vcpu0-203 [007] d....     4.075666: kvm_entry: PC: 0x0000000040000000
vcpu0-203 [007] d....     4.075847: kvm_entry: PC: 0x0000000040000000
END
        ns() { TRACING=$PWD sh "$0" ns none 64 first "$@"; }
        ns sched_process_exec first; ns kvm_entry first; ns kvm_entry last""", probe)
    assert result.stdout.split() == ["4028666000", "4075666000", "4075847000"], result.stderr


@needs_emulator
def test_streams_status_files_and_results(tmp_path: pathlib.Path) -> None:
    result = emulated(
        "--out", str(tmp_path / "out"), "--file", "tools/dev/cmake", "--", "sh", "-c", """
          test -c /dev/kvm && head -n 2 "$1" && ls tools/dev/cmake/arm64.cmake && echo loud >&2
          echo again >/dev/stderr
          mkdir $RESULTS/deep && echo kept >@RESULTS@/deep/file
          ln -s /etc/passwd $RESULTS/link
          exit 3""", "sh", "tools/arm64-host")
    assert result.returncode == 3, result.stderr
    assert result.stdout.splitlines() == [
        *TOOL.read_text().splitlines()[:2], "tools/dev/cmake/arm64.cmake"]
    announcement, *stderr = result.stderr.splitlines()
    assert "label kvm-on-tcg" in announcement
    assert stderr[:2] == ["loud", "again"]
    assert (tmp_path / "out/deep/file").read_text() == "kept\n"
    assert not (tmp_path / "out/link").is_symlink()
    assert "Linux version" in (tmp_path / "out/host-dmesg.log").read_text()
    assert (tmp_path / "out/host-console.log").exists()


@needs_emulator
def test_a_machine_that_does_not_say_so_is_still_seen_to_be_virtual(tmp_path) -> None:
    hello = "build/arm64/stub/hello.bin"
    result = emulated("--out", str(tmp_path), "--file", hello, "--", "sh", "-c", f"""
        echo quiet >/tmp/cmdline && mount -o bind /tmp/cmdline /proc/cmdline && vmm doctor &&
        vmm run --raw {hello} --results $RESULTS/found.json &&
        vmm run --raw {hello} --results $RESULTS/said.json --label kvm""")
    assert result.returncode == 0, result.stderr
    assert re.search(r"Results' label +kvm-on-vm\n", result.stdout)
    assert "(linux,dummy-virt)" in result.stdout
    found, said = (json.loads((tmp_path / name).read_text())
                   for name in ("found.json", "said.json"))
    assert (found["label"], found["label_insisted"]) == ("kvm-on-vm", False)
    assert (said["label"], said["label_insisted"]) == ("kvm", True)
    assert "in place of kvm-on-vm" in said["label_reason"]
    assert said["host"]["label"] == "kvm-on-vm"


@needs_emulator
def test_status_124_of_the_command_is_no_deadline() -> None:
    result = emulated("--gic", "2", "--cpu-model", "cortex-a72", "--",
                      "sh", "-c", "dmesg; test -c /dev/kvm && exit 124")
    assert result.returncode == 124
    assert "waited" not in result.stderr
    assert "Root IRQ handler: gic_handle_irq" in result.stdout
    assert "nVHE mode initialized" in result.stdout


@needs_emulator
def test_deadline_says_what_it_waited_for() -> None:
    result = emulated("--timeout", "7s", "--", "tail", "-f", "/dev/null")
    assert result.returncode == 124
    assert "waited 7 s for the" in result.stderr
    assert "tail -f /dev/null" in result.stderr


@needs_emulator
def test_a_command_that_is_late_leaves_its_results(tmp_path: pathlib.Path) -> None:
    hang = "build/arm64/stub/hang.bin"
    result = emulated("--timeout", "10s", "--out", str(tmp_path), "--", "vmm", "run", "--raw", hang,
                      "--results", "@RESULTS@/late.json")
    assert result.returncode == 124 and "waited 10 s for the" in result.stderr
    assert json.loads((tmp_path / "late.json").read_text())["stop"]["id"] == "interrupted"


@needs_emulator
def test_an_output_that_takes_no_more_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        result = subprocess.run([str(TOOL), "--emulated", "--cpus", "2", "--memory", "1G", "--",
                                 "echo", "x"], stdout=full, stderr=subprocess.PIPE, text=True,
                                timeout=DEADLINE, check=False)
    assert result.returncode == 74
    assert "arm64-host: cannot write stdout: No space left on device\n" in result.stderr
    assert "Traceback" not in result.stderr


@needs_emulator
def test_panic_of_the_host_shows_its_console() -> None:
    result = emulated("--", "sh", "-c", "echo c >/proc/sysrq-trigger")
    assert result.returncode == 70
    assert ("went down while we waited for the command to end: "
            "Kernel panic - not syncing: sysrq") in result.stderr


@needs_emulator
def test_unknown_cpu_model_is_reported() -> None:
    result = emulated("--cpu-model", "z80", "--", "true")
    assert result.returncode == 70
    assert "z80" in result.stderr


@needs_emulator
def test_output_is_live_and_interrupt_leaves_nothing(usual_signals: None) -> None:
    with subprocess.Popen(
            [str(TOOL), "--emulated", "--cpus", "2", "--timeout", "50s", "--",
             "sh", "-c", "echo up; exec tail -f /dev/null"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "up\n"
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as file:
            pids = file.read().split()
        assert any("qemu" in name for name in processes_of_group(process.pid))
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE) == 130
    assert pids and not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def said(result: subprocess.CompletedProcess[str]) -> list[str]:
    """Returns the lines on stderr but for those on how long arm64-host waits, which is
    wall-clock time."""
    waits = re.compile(r"arm64-host: the host is still booting after \d+ s$")
    return [line for line in result.stderr.splitlines() if not waits.match(line)]


@needs_emulator
def test_deterministic_runs_are_identical_under_any_load() -> None:
    command = ("--deterministic", "--", "sh", "-c", """
        for i in 1 2 3 4 5 6 7 8; do
          echo "$i $(cat /proc/uptime)"; echo $i >/dev/kmsg; usleep 500
          head -c 40000 /dev/zero | od | tail -n 1
        done
        cat /proc/cmdline /proc/interrupts /proc/stat >&2; dmesg""")
    quiet = run(*command)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as load:
        try:
            loaded = run(*command)
        finally:
            load.kill()
    assert quiet.returncode == 0, quiet.stderr
    assert "parkvmm.label=kvm-on-tcg-icount" in quiet.stderr
    assert loaded.stdout == quiet.stdout
    assert said(loaded) == said(quiet)


@needs_emulator
def test_a_damaged_saved_host_boots_afresh_to_the_same_bytes(tmp_path: pathlib.Path) -> None:
    """A word on the kernel's command line makes the host this test's own."""
    words = ["--deterministic", "--cpus", "2", "--memory", "1G", "--host-params", "test.damaged",
             "--", "sh", "-c", "cat /proc/uptime /proc/interrupts /proc/stat; dmesg"]
    first = run(*words)
    assert first.returncode == 0, first.stderr
    chosen = options.parse(words)
    chosen.host_kernel = kernels.path_of(chosen.host_kernel)
    path = saved.path_of(saved.key_of(chosen, contents.base_archive(chosen, tmp_path)))
    again = run(*words)
    assert (again.stdout, said(again)) == (first.stdout, said(first))
    with open(path, "r+b") as file:
        file.seek(1 << 20)
        byte = file.read(1)
        file.seek(1 << 20)
        file.write(bytes([byte[0] ^ 1]))
    mended = run(*words)
    assert f"the saved host {path} is not used: its checksum is wrong; booting" in mended.stderr
    assert mended.stdout == first.stdout
    with saved.SavedHost(path.name) as host:
        host.check()
    path.unlink()


@needs_emulator
def test_a_cold_host_is_neither_saved_nor_restored() -> None:
    result = emulated("--cold", "--", "sh", "-c", "ls /sys/bus/pci/devices | wc -l; echo $0")
    assert (result.returncode, result.stdout) == (0, "2\nsh\n"), result.stderr
