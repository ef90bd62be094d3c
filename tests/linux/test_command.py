# SPDX-License-Identifier: Apache-2.0
"""vmm run KERNEL -- COMMAND, in Debian's unmodified kernel (faults B2, B4)."""

import gzip
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from arm64_host import IMAGE, LESS, ROOT, Host, needs_emulation
from parkvmm.paths import BUSYBOX
from payload_runs import SOAK, WALL_CLOCK
from terminals import Terminals

ROOT_FILES = "build/guest/initramfs.cpio"  # busybox, and things that nobody here uses
DEADLINE = 240  # seconds for a call, which may have to boot a host
EMULATED = ("--host", "emulated")
NUMBERS = range(100_000, 250_000 if SOAK else 130_000)  # seven bytes each: 1 MB in a soak

# Each is a case: what the guest is given, what vmm exits with, and the id of what it says; of a
# command that failed it says nothing. A boot has some of them.
STATUSES = {
    "a command that fails": [("-- sh -c 'kill -PIPE $$; exit 1'", 128 + 13, ""),
                             ("-- sh -c 'echo BUG: said >/dev/kmsg; exit 5'", 5, ""),
                             ("-p panic=-1 -- sh -c 'exit 7'", 7, "")],
    "a guest that fails": [("-- sh -c 'echo c >/proc/sysrq-trigger'", 64, "guest-panic"),
                           ("-- sh -c 'busybox poweroff -f'", 1, "command-unfinished"),
                           ("-- sh -c 'busybox reboot -f'", 67, "reset")],
    "no end": [("-- sh -c 'busybox sleep 1000'", 124, "timeout"),
               ("-- /no/such", 127, "command-not-run")],
}
CASES = f"""
run() {{
  status=0
  vmm run --seed 1 --timeout 8s --panic-grace 1s -m 512M -p "{LESS}" \
    -i "$INITRD" "$IMAGE" "$@" \
    >/dev/null 2>/tmp/said || status=$?
  echo "$status $(tail -n 1 /tmp/said)"
}}
"""


@pytest.mark.parametrize("what", STATUSES)
def test_b4_the_status_of_a_command_is_vmms(host: Host, what: str) -> None:
    cases = STATUSES[what]
    script = "\n".join([f"IMAGE={IMAGE} INITRD={ROOT_FILES}", CASES,
                        *(f"run {given}" for given, _, _ in cases)])
    outcome = host.script(script, files=(IMAGE, ROOT_FILES))
    assert outcome.status == 0, outcome.explain()
    said = outcome.stdout.splitlines()
    assert len(said) == len(cases)
    for line, (_, status, identifier) in zip(said, cases):
        assert line.split()[0] == str(status), outcome.stdout
        assert line.endswith(f"[{identifier}]") if identifier else not line.endswith("]"), line


def vmm(*words: str, timeout: str = "100s", **how) -> subprocess.CompletedProcess:
    needs_emulation(EMULATED)
    return subprocess.run([ROOT / "tools/vmm", *EMULATED, "run", "--timeout", timeout, "-p", LESS,
                           *words], cwd=ROOT, capture_output=True, timeout=DEADLINE,
                          check=False, **how)


@pytest.mark.usefixtures("host")
@pytest.mark.xdist_group(WALL_CLOCK)
def test_b4_words_environment_and_streams_arrive_intact() -> None:
    given = bytes(range(256)) * 60
    environment = os.environ | {"LONG": "e" * 100_000, "ODD": 'x "y"\n\'z\' '}
    done = vmm("-i", ROOT_FILES, IMAGE, "--", "sh", "-c", """
        printf '%s|' "$@" "$ODD" "${#LONG}"
        busybox md5sum
        echo to stderr >&2
        echo to the kernel >/dev/kmsg
        exit 3""", "sh", "a 'b'", 'c"d', "e\nf", "", "--", "-x", input=given, env=environment)
    assert done.returncode == 3, done.stderr[-3000:]
    words = done.stdout.removesuffix(b"  -\n")
    sum_of_input = hashlib.md5(given, usedforsecurity=False).hexdigest()
    assert words.decode() == f"a 'b'|c\"d|e\nf||--|-x|{environment['ODD']}|100000|{sum_of_input}"
    assert done.stderr.count(b"to stderr\n") == 1
    assert b"to the kernel" not in done.stderr


@pytest.mark.usefixtures("host")
@pytest.mark.xdist_group(WALL_CLOCK)
def test_b4_a_folder_of_the_callers_is_the_guests_root(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "my root"
    (root / "bin").mkdir(parents=True)
    shutil.copy(BUSYBOX, root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    (root / "wörld").write_text("hello\n")
    os.link(root / "wörld", root / "other")
    done = vmm("--rootfs", str(root), IMAGE, "--", "sh", "-c",
               "busybox cat /other; busybox stat -c '%u %g %h' /wörld; exit 5")
    assert (done.returncode, done.stdout) == (5, b"hello\n0 0 2\n"), done.stderr[-3000:]


def test_b4_all_of_an_output_arrives_whatever_the_kernel_prints(host: Host) -> None:
    """In wall-clock time: in virtual time a CPU that never idles starves the one after it."""
    outcome = host.script(f"""
        status=0
        vmm run --seed 1 -v -c 2 -p "{LESS} printk.devkmsg=on" -i {ROOT_FILES} {IMAGE} -- sh -c '
          while :; do echo flood; done >/dev/kmsg &
          busybox seq {NUMBERS[0]} {NUMBERS[-1]}
          exit 3' >/tmp/out 2>/tmp/err || status=$?
        echo "$status $(md5sum </tmp/out) $(grep -c flood /tmp/err)"
        """, files=(IMAGE, ROOT_FILES), deterministic=False)
    assert outcome.status == 0, outcome.explain()
    numbers = "".join(f"{number}\n" for number in NUMBERS).encode()
    sum_of_numbers = hashlib.md5(numbers, usedforsecurity=False).hexdigest()
    status, sum_of_output, _, floods = outcome.stdout.split()
    assert (status, sum_of_output) == ("3", sum_of_numbers), outcome.explain()
    assert int(floods) > 100, outcome.explain()  # 10 where the kernel limits them


def test_b4_a_command_runs_in_each_kernel(host: Host) -> None:
    outcome = host.run(["vmm", "run", "--seed", "1", "-c", "2", "-m", "1G", "-p", LESS, "-i",
                        ROOT_FILES, "--kexec", "1", "--results", "@RESULTS@/results.json", IMAGE,
                        "--", "sh", "-c",
                        "busybox nproc; busybox grep -o park.cycle=. /proc/cmdline || :"])
    assert outcome.status == 0, outcome.explain()
    assert outcome.stdout == "2\n2\npark.cycle=1\n"
    assert [(kexec["cpus"], kexec["cpus_back"]) for kexec in outcome.json()["kexecs"]] == [
        (2, 2)]


@pytest.mark.long
@pytest.mark.usefixtures("host")
@pytest.mark.xdist_group(WALL_CLOCK)
def test_kernels_take_turns(tmp_path: pathlib.Path) -> None:
    """A to B, and back to A: B is A with another name, packed."""
    image = (ROOT / IMAGE).read_bytes()
    release = re.search(rb"Linux version (\S+) \(", image)
    assert release
    other = release[1][:-2] + b"-B"
    (tmp_path / "B.gz").write_bytes(gzip.compress(image.replace(release[1], other), 1))
    done = vmm("-i", ROOT_FILES, "-c", "2", "--kexec", "2", "--next", str(tmp_path / "B.gz"),
               IMAGE, "--", "busybox", "uname", "-r", timeout="250s")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines() == [release[1], other, release[1]]


def test_b4_a_command_that_fails_is_the_last(host: Host) -> None:
    outcome = host.run(["vmm", "run", "--seed", "1", "-m", "1G", "-p", LESS, "-i", ROOT_FILES,
                        "--kexec", "2", "--results", "@RESULTS@/results.json", IMAGE, "--",
                        "sh", "-c",
                        "! busybox grep -q park.cycle=1 /proc/cmdline || exit 9"])
    assert outcome.status == 9, outcome.explain()
    assert len(outcome.json()["kexecs"]) == 1
    assert outcome.json()["stop"]["id"] == "command-failed"


ALARM = """
interrupts() { busybox sed -n "s/^ *[0-9]*: *\\([0-9]*\\) .*rtc-pl031.*/\\1/p" /proc/interrupts; }
cd /sys/class/rtc/rtc0
echo $(interrupts)
begin=$(busybox cat since_epoch)
echo +2 >wakealarm
until [ "$(interrupts)" = 1 ]; do busybox usleep 10000; done
echo $(($(busybox cat since_epoch) - begin)) "$(busybox cat wakealarm)"
"""


def test_a15_the_alarm_of_the_clock_interrupts(host: Host) -> None:
    outcome = host.run(["vmm", "run", "--seed", "1", "--timeout", "60s", "-p", LESS, "-i",
                        ROOT_FILES, IMAGE, "--", "sh", "-c", ALARM])
    assert outcome.status == 0, outcome.explain()
    # Two seconds from when it was asked for, or the third has just begun; then it is off.
    none, after = outcome.stdout.splitlines()
    assert none == "0" and after.split() in (["2"], ["3"]), outcome.stdout


IDLE = """
exec </dev/null
ticks() { set -- $(busybox cat /proc/$1/stat); echo $((${14} + ${15})); }
init=$(ticks 1) own=$(ticks $$)
i=0; while [ $i -lt 100000 ]; do i=$((i + 1)); done
echo $(($(ticks 1) - init)) $(($(ticks $$) - own))
"""


def test_init_does_nothing_while_a_command_reads_no_input(host: Host) -> None:
    outcome = host.script(f"""
        mkfifo /tmp/open
        exec 9<>/tmp/open
        exec vmm run --seed 1 -p '{LESS}' -i {ROOT_FILES} {IMAGE} -- sh -c '{IDLE}' </tmp/open
        """, files=(IMAGE, ROOT_FILES))
    assert outcome.status == 0, outcome.explain()
    of_init, of_command = map(int, outcome.stdout.split())
    assert of_command > 20 and of_init <= of_command / 10, outcome.stdout


@pytest.mark.usefixtures("host")
@pytest.mark.xdist_group(WALL_CLOCK)
def test_b2_a_shell_has_the_callers_terminal(terminals: Terminals) -> None:
    needs_emulation(EMULATED)
    window = terminals.open(str(ROOT / "tools/vmm"), *EMULATED, "run", "-p", LESS, "-i",
                            str(ROOT / ROOT_FILES), str(ROOT / IMAGE), "--", "sh")
    window.type(b"busybox stty size; tty=$(busybox tty); echo $((6 * 7)) $tty\n")
    shown = window.shows(b"\n42 /dev/pts/0\r")
    assert b"\n33 101\r" in shown
    window.resize(40, 120)
    window.type(b"until busybox stty size | busybox grep '^40 120$'; do :; done\n")
    window.shows(b"\n40 120\r")
    window.type(b"busybox sh -c 'echo is read; exec busybox cat'\n")
    window.shows(b"\nis read\r")
    window.type(b"z\x03")  # ctrl-c is the guest's.
    window.shows(b"# ")
    window.type(b"exit 6\n")
    assert window.process.wait(DEADLINE) == 6
    assert window.modes() == window.before
