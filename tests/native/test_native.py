# SPDX-License-Identifier: Apache-2.0
"""The product on arm64 itself: built there, by its own userland and compiler, and run
natively.

Who has no arm64 machine gets one: a Debian root in which qemu-user runs arm64's
programs builds a clone, and then boots in the emulator with KVM inside. With an arm64
machine, `tools/test native --ssh HOST` builds and runs there. Minutes, and the first
time half an hour: tools/test native.
"""

import os
import pathlib
import shlex
import subprocess
import time

import debian_root
import pytest
from arm64_host import ROOT

BUILD_DEADLINE = 5400  # seconds; under qemu-user the first build takes half an hour
RUN_DEADLINE = 3000
FOLDER = ROOT / "build" / "native"
HOSTS = [("bookworm", "debian:6.12"), ("trixie", "debian:6.12")]
WITHOUT_FILTER = ("bookworm", "debian:6.1")
SSH = os.environ.get("PARKVMM_SSH", "")
DISK_HEADROOM = 1 << 30  # bytes for what runs there

# The disk is this machine's root. busybox's chroot finds no program by PATH.
BOOT = """\
mount -t ext4 /dev/vda /mnt
for folder in dev proc sys; do mount --bind /$folder /mnt/$folder; done
mount -t tmpfs tmpfs /mnt/tmp
exec chroot /mnt /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
  /bin/sh -c "cd /parkvmm && $1"
"""


@pytest.fixture
def show(capsys: pytest.CaptureFixture[str]):
    """What is printed is shown, not kept for a failure."""
    with capsys.disabled():
        yield


def built(release: str) -> pathlib.Path:
    """A disk with a root of a release, and in it a clone that was built there."""
    begun = time.monotonic()
    root = debian_root.Root(FOLDER / release / "root")
    debian_root.run_arm64_programs()
    if not root.folder.exists():
        debian_root.make(release, root.folder, "arm64")
    root.update_clone()
    for command in ("tools/setup host cross guest emulator", "tools/build arm64",
                    "tools/guest-image"):
        done = root.run("sh", "-c", command, deadline=BUILD_DEADLINE)
        assert done.returncode == 0, f"{command}: status {done.returncode}"
    disk = FOLDER / release / "disk.img"
    disk.unlink(missing_ok=True)
    used = int(subprocess.run(["du", "-sxB1", str(root.folder)], check=True, capture_output=True,
                              text=True).stdout.split()[0])
    with open(disk, "wb") as file:
        file.truncate(used + used // 8 + DISK_HEADROOM)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root.folder), str(disk)],
                   check=True, timeout=600)
    print(f"{release}: built natively in {time.monotonic() - begun:.0f} s", flush=True)
    return disk


def run(command: str, disk: pathlib.Path | None, kernel: str,
        ) -> subprocess.CompletedProcess[str]:
    """A command on the arm64 machine: the emulated one, or that of --ssh."""
    begun = time.monotonic()
    words = (["ssh", "-oBatchMode=yes", SSH, f"cd .parkvmm-native && {command}"] if SSH else
             ["tools/arm64-host", "--emulated", "--host-kernel", kernel, "--disk", str(disk),
              "--cpus", "4", "--memory", "4G", "--timeout", f"{RUN_DEADLINE}s", "--",
              "sh", "-euc", BOOT.replace("$1", command)])
    print(f"$ {command}", flush=True)
    lines: list[str] = []
    with subprocess.Popen(["timeout", "--kill-after=30", str(RUN_DEADLINE + 60), *words], cwd=ROOT,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    print(f"status {process.returncode} after {time.monotonic() - begun:.0f} s", flush=True)
    return subprocess.CompletedProcess(words, process.returncode, "".join(lines), "")


def send_clone() -> None:
    """A clone of this one's HEAD on the machine of --ssh, built there."""
    script = ("test -d .parkvmm-native || git init -q .parkvmm-native; cd .parkvmm-native && "
              "cat >.git/bundle && git fetch -q .git/bundle HEAD && git reset -q --hard FETCH_HEAD")
    bundle = subprocess.run(["git", "bundle", "create", "-", "HEAD"], cwd=ROOT, check=True,
                            capture_output=True, timeout=300).stdout
    subprocess.run(["ssh", "-oBatchMode=yes", SSH, script], input=bundle, check=True, timeout=600)


@pytest.fixture(scope="session")
def machines() -> dict[str, pathlib.Path | None]:
    """Disks by release; made when first asked for."""
    if SSH:
        send_clone()
        return {release: None for release, _ in HOSTS}
    if reason := debian_root.can_make():
        (pytest.fail if os.environ.get("PARKVMM_REQUIRE_KVM") else pytest.skip)(reason)
    return {}


def disk_of(machines: dict, release: str) -> pathlib.Path | None:
    if release not in machines:
        machines[release] = built(release)
    return machines[release]


@pytest.mark.parametrize("release, kernel", HOSTS[:1] if SSH else HOSTS)
def test_demo_and_guests_natively(show, machines, release: str, kernel: str) -> None:
    disk = disk_of(machines, release)
    demo = run("tools/demo", disk, kernel)
    assert demo.returncode == 0
    assert demo.stdout.count("4 of 4") == 4, "the first boot, and three kexecs"
    assert "emulated by QEMU" not in demo.stdout
    tests = run("PARKVMM_REQUIRE_KVM=1 tools/test wall-clock", disk, kernel)
    assert tests.returncode == 0
    assert " 0 failed" in tests.stdout


@pytest.mark.skipif(bool(SSH), reason="that machine's kernel is what it is")
def test_without_the_filter_the_vmm_refuses_and_the_demo_emulates(show, machines) -> None:
    release, kernel = WITHOUT_FILTER
    disk = disk_of(machines, release)
    stub = shlex.quote("build/arm64/stub/hello.bin")
    refused = run(f"build/arm64/bin/vmm run --raw {stub}", disk, kernel)
    assert refused.returncode == 69
    assert "no SMCCC filter" in refused.stdout and "Linux 6.4" in refused.stdout
    # KVM's own PSCI is there all the same.
    assert run(f"build/arm64/bin/vmm run --raw {stub} --psci kvm", disk, kernel).returncode == 0
    demo = run("tools/demo --cpus 1 --cycles 1", disk, kernel)
    assert "no SMCCC filter" in demo.stdout
    assert "emulated by QEMU" in demo.stdout
    assert demo.returncode == 0
