# SPDX-License-Identifier: Apache-2.0
"""Checks that others wrote, run in the guest as they are: Linux's own of PSCI and of
CPU hotplug, and a load while kexec is called.

Builds kernels and a module the first time, so it is a group of its own:
tools/test checks. All in virtual time.
"""

import collections
import re
import subprocess

import pytest
from arm64_host import ROOT, Host, Outcome
from parkvmm.guest.arms import ARMS
from parkvmm.paths import GUEST

BUILD_DEADLINE = 2400  # seconds; a kernel takes a few minutes, once
SELFTEST = "tools/testing/selftests/cpu-hotplug/cpu-on-off-test.sh"
STRESS = ("/bin/stress-ng --seed 1 --temp-path /tmp "
          "--cpu 0 --vm 1 --vm-bytes 64M --fork 2 --timer 1")
SUSPENDS = 10  # of each CPU in psci_checker, for the one state there is

pytestmark = pytest.mark.usefixtures("host")


def run(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True,
                          timeout=BUILD_DEADLINE, stdin=subprocess.DEVNULL).stdout.strip()


def image(name: str, *options: str) -> str:
    output = GUEST / f"initramfs-checks-{name}.cpio"
    run("tools/guest-image", "--output", str(output), *options)
    return str(output.relative_to(ROOT))


@pytest.fixture(scope="module")
def tools() -> tuple[str, ...]:
    """What tools/guest-image takes for bash, stress-ng and the selftest."""
    run("tools/setup", "--quiet", "checks", "kernel")
    return ("--add", f"{GUEST / 'checks'}:/",
            "--add", f"{GUEST / 'linux' / SELFTEST}:/selftest/cpu-on-off-test.sh")


@pytest.fixture(scope="module")
def psci_checker() -> tuple[str, str]:
    """A kernel that runs psci_checker before its init, and an initramfs."""
    kernel = run("tools/guest-kernel", "build", "--variant", "psci-checker")
    return kernel, image("psci-checker", "--kernel", kernel)


def assert_all_back(outcome: Outcome, cycles: int, cpus: int) -> None:
    assert outcome.status == 0, outcome.explain()
    results = outcome.json()
    assert [(k["cpus_back"], k["verdict"]) for k in results["kexecs"]] == [
        (cpus, "pass")] * cycles
    assert results["diagnoses"] == []


def suspends(outcome: Outcome) -> collections.Counter:
    return collections.Counter(event["mpidr"] for event in outcome.events()
                               if event.get("call") == "CPU_SUSPEND")


@pytest.mark.parametrize("psci", ["vmm", "kvm"])
def test_psci_checker_passes_before_and_after_a_kexec(host: Host, psci_checker,
                                                      psci: str) -> None:
    kernel, initrd = psci_checker
    outcome = host.linux("--cpus", "4", "--idle-states", "--psci", psci, image=kernel,
                         initrd=initrd, params="loglevel=7 park.cycles=1")
    assert_all_back(outcome, cycles=1, cpus=4)
    said = re.findall(r"psci_checker: (.*)", outcome.stdout)
    for line in ("Hotplug tests passed OK", "Suspend tests passed OK",
                 "PSCI checker completed"):
        assert said.count(line) == 2, outcome.stdout
    for cpu in range(4):
        assert said.count(f"CPU {cpu} suspend test results: success {SUSPENDS}, "
                          "shallow states 0, errors 0") == 2, outcome.stdout
    if psci == "vmm":  # Its idle CPUs suspend, too.
        assert all(suspends(outcome)[f"0x{cpu}"] >= 2 * SUSPENDS for cpu in range(4))
        phases = outcome.json()["kexecs"][0]["phase_ns"]
        assert all(phase >= 0 for phase in phases.values())


def test_psci_checker_finds_no_state_that_was_not_asked_for(host: Host,
                                                            psci_checker) -> None:
    kernel, initrd = psci_checker
    outcome = host.linux("--cpus", "2", image=kernel, initrd=initrd, params="loglevel=7")
    assert outcome.status == 0, outcome.explain()
    assert "Hotplug tests passed OK" in outcome.stdout
    assert "Could not start suspend tests on any CPU" in outcome.stdout
    assert not suspends(outcome)


def test_debians_kernel_idles_by_psci_and_kexecs(host: Host) -> None:
    outcome = host.linux("--cpus", "4", "--idle-states", params="park.cycles=1")
    assert_all_back(outcome, cycles=1, cpus=4)
    assert set(suspends(outcome)) == {"0x0", "0x1", "0x2", "0x3"}


def test_hotplug_selftest_passes_before_and_after_a_kexec(host: Host, tools) -> None:
    cpus = 4
    outcome = host.linux(
        "--cpus", str(cpus), initrd=image("stock", *tools),
        params='park.cycles=1 park.exec="/bin/busybox --install -s /bin" '
               'park.check="/selftest/cpu-on-off-test.sh -a"')
    assert_all_back(outcome, cycles=1, cpus=cpus)
    assert outcome.stdout.count("Full scope test: all hotplug cpus") == 2
    assert outcome.stdout.count("cpu-on-off-test.sh passed") == 2
    # All but one in each kernel, and all but one by the kexec between them.
    calls = collections.Counter(event.get("call") for event in outcome.events())
    assert calls["CPU_OFF"] == 3 * (cpus - 1)


@pytest.mark.parametrize("name", ["stock", "module", "stop", "park-host", "park-device"])
def test_kexec_under_load_brings_all_cpus_back(host: Host, tools, name: str) -> None:
    arm = ARMS[name]
    if not arm.stock:
        run("tools/guest-kernel", "build")
    if arm.module:
        run("tools/guest-module/build")
    kind = "module" if arm.module else "stock" if arm.stock else "patched"
    initrd = image(kind, *tools, "--kernel", str(arm.kernel("default")),
                   *(["--module", str(arm.module)] if arm.module else []))
    outcome = host.linux(
        "--cpus", "8", "--park", arm.park, "--strict", cpus=8, initrd=initrd,
        image=str(arm.kernel("default").relative_to(ROOT)),
        params=f'{arm.params} park.cycles=3 park.load="{STRESS}"')
    assert_all_back(outcome, cycles=3, cpus=8)
    assert outcome.stdout.count("every CPU is busy with /bin/stress-ng") == 3
