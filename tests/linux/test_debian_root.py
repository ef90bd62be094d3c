# SPDX-License-Identifier: Apache-2.0
"""A Debian root file system that has never heard of us kexecs by its own tools: no
marks, no program of ours (fault A1)."""

import gzip
import io
import os
import pathlib
import shutil
import subprocess
import tarfile

import pytest
from arm64_host import IMAGE, LESS, ROOT, Host, Outcome, needs_emulation
from parkvmm.debian import apt

RELEASE = "bookworm"
PACKAGES = ROOT / "build/guest/debian-root.tar"  # unpacked, as mmdebstrap leaves them
INITRD = "build/guest/debian-root.cpio"
FAULTY = "build/arm64/bin/vmm-faulty"
OK, CPU_STUCK, TIMEOUT = 0, 66, 124
# Two thirds of the root, and of what each kexec copies.
SPARED = ("--exclude=./usr/lib/*/gconv/*", "--exclude=./usr/share/doc/*")
CPUS = 4

# Linux hands the words `rounds` and `end` to its init.
INIT = b"""\
#!/bin/busybox sh
busybox=/bin/busybox
$busybox mkdir -p /proc /sys
$busybox mount -t proc proc /proc
$busybox mount -t sysfs sysfs /sys
if [ "$rounds" -gt 0 ]; then
  next=$($busybox sed "s/rounds=$rounds/rounds=$((rounds - 1))/" /proc/cmdline)
  # Its purgatory would hash all of it before each kernel, which takes a minute here.
  /sbin/kexec --no-checks --load /boot/vmlinuz --initrd=/sys/firmware/initrd \\
    --command-line="$next"
  /sbin/kexec --exec
fi
[ "$end" != idle ] || $busybox sleep 1000000
$busybox poweroff -f
"""

# All tests have one root, which one process makes.
pytestmark = pytest.mark.xdist_group("debian-root")


def make_packages() -> None:
    sites = apt.machine_sites()
    draft = PACKAGES.with_suffix(".new")
    subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=chrootless", "--format=tar", "--variant=extract",
         "--architectures=arm64", "--include=kexec-tools,busybox-static", RELEASE, str(draft),
         f"deb [signed-by={apt.keyring()}] {sites.main} {RELEASE} main"],
        check=True, timeout=600)
    draft.rename(PACKAGES)


@pytest.fixture(scope="module")
def initrd(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The root, with an init and a kernel to kexec."""
    needs_emulation(("--deterministic",))
    if not shutil.which("mmdebstrap"):
        missing = "mmdebstrap is not installed; run tools/setup host"
        if os.environ.get("PARKVMM_REQUIRE_KVM"):
            pytest.fail(missing)
        pytest.skip(missing)
    if not PACKAGES.exists():
        make_packages()
    root = tmp_path_factory.mktemp("root") / "root.tar"
    shutil.copy(PACKAGES, root)
    with tarfile.open(root, "a") as archive:
        init = tarfile.TarInfo("./init")
        init.mode, init.size = 0o755, len(INIT)
        archive.addfile(init, io.BytesIO(INIT))
        boot = tarfile.TarInfo("./boot")
        boot.type, boot.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(boot)
        kernel = gzip.compress((ROOT / IMAGE).read_bytes(), mtime=0)
        vmlinuz = tarfile.TarInfo("./boot/vmlinuz")
        vmlinuz.mode, vmlinuz.size = 0o644, len(kernel)
        archive.addfile(vmlinuz, io.BytesIO(kernel))
    draft = pathlib.Path(f"{ROOT / INITRD}.new")
    subprocess.run(["bsdtar", "-cf", draft, "--format=newc", *SPARED, f"@{root}"],
                   check=True, timeout=60)
    draft.rename(ROOT / INITRD)
    return INITRD


def run(host: Host, initrd: str, kexecs: int, *words: str, vmm: str = "vmm", fault: str = "",
        end: str = "poweroff") -> Outcome:
    return host.run(
        [vmm, *([fault] if fault else []), "run", "--seed", "1", "-c", str(CPUS), "-m", "1G",
         "-i", initrd, "-p", f"console=ttyAMA0 {LESS} retain_initrd rounds={kexecs} end={end}",
         "--expect-kexecs", str(kexecs), "--results", "@RESULTS@/results.json", *words, IMAGE],
        options=("--file", vmm) if fault else ())


def test_a1_three_kexecs_give_three_rows(host: Host, initrd: str) -> None:
    outcome = run(host, initrd, 3)
    assert outcome.status == OK, outcome.explain()
    kexecs = outcome.json()["kexecs"]
    assert [(kexec["cpus"], kexec["cpus_back"], kexec["announced"]) for kexec in kexecs] == [
        (CPUS, CPUS, False)] * 3
    for kexec in kexecs:
        assert {name for name, ns in kexec["phase_ns"].items() if ns is not None} == {
            "down", "jump", "early", "up"}
    rows = [line for line in outcome.stderr.splitlines()
            if f"{CPUS} of {CPUS}" in line and "parkvmm:" not in line]
    assert len(rows) == 4, "the first boot, and three kexecs"


@pytest.mark.long
def test_a1_running_on_is_a_timeout(host: Host, initrd: str) -> None:
    outcome = run(host, initrd, 1, "--timeout", "30s", end="idle")
    assert outcome.status == TIMEOUT, outcome.explain()
    kexec, = outcome.json()["kexecs"]
    assert (kexec["cpus_back"], kexec["came_up_by"]) == (CPUS, "settled")


def test_a1_a_cpu_that_is_lost_is_named(host: Host, initrd: str) -> None:
    outcome = run(host, initrd, 1, vmm=FAULTY, fault="2:2")
    assert outcome.status == CPU_STUCK, outcome.explain()
    assert (f"kexec 1 brought back {CPUS - 1} of {CPUS} CPUs: vCPU 2 was called and never "
            "started [cpus-lost]") in outcome.stderr
