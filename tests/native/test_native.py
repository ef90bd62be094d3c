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

import debian_root
import pytest
from native_walk import SSH, built, run, send_clone

HOSTS = [("bookworm", "debian:6.12"), ("trixie", "debian:6.12")]
WITHOUT_FILTER = ("bookworm", "debian:6.1")


@pytest.fixture(scope="session")
def machines() -> dict[str, pathlib.Path | None]:
    """Disks by release; made when first asked for."""
    if SSH:
        send_clone()
        return {release: None for release, _ in HOSTS}
    if reason := debian_root.can_make():
        if os.environ.get("PARKVMM_REQUIRE_KVM"):
            pytest.fail(reason)
        pytest.skip(reason)
    return {}


def disk_of(machines: dict, release: str) -> pathlib.Path | None:
    if release not in machines:
        machines[release] = built(release)
    return machines[release]


@pytest.mark.parametrize("release, kernel", HOSTS[:1] if SSH else HOSTS)
def test_demo_and_guests_natively(machines, release: str, kernel: str) -> None:
    disk = disk_of(machines, release)
    demo = run("tools/demo", disk, kernel)
    assert demo.returncode == 0
    assert demo.stdout.count("4 of 4") == 5, "the first boot, three kexecs, and their sum"
    assert "arm64-host: native" in demo.stdout
    assert demo.stdout.count("emulated by QEMU") == (not SSH), "the walk's machine alone"
    tests = run("PARKVMM_REQUIRE_KVM=1 tools/test wall-clock", disk, kernel)
    assert tests.returncode == 0
    assert " 0 failed" in tests.stdout


@pytest.mark.skipif(bool(SSH), reason="that machine's kernel is what it is")
def test_without_the_filter_the_vmm_refuses_and_the_demo_emulates(machines) -> None:
    release, kernel = WITHOUT_FILTER
    disk = disk_of(machines, release)
    stub = "build/arm64/stub/hello.bin"
    refused = run(f"build/arm64/bin/vmm run --raw {stub}", disk, kernel)
    assert refused.returncode == 69
    assert "no SMCCC filter" in refused.stdout and "Linux 6.4" in refused.stdout
    # KVM's own PSCI is there all the same.
    assert run(f"build/arm64/bin/vmm run --raw {stub} --psci kvm", disk, kernel).returncode == 0
    # An emulated machine within an emulated one takes over four minutes to boot, more
    # than the demo allows. That it is begun, and why, is what can be seen here.
    demo = run("timeout --foreground 240 tools/demo --cpus 1 --cycles 1", disk, kernel)
    assert "no SMCCC filter" in demo.stdout and "emulating a machine" in demo.stdout
    assert demo.stdout.count("emulated by QEMU") == 2, "the walk's machine, and the demo's"
