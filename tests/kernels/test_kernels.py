# SPDX-License-Identifier: Apache-2.0
"""Debian's kernels of several years boot, and kexec into each other.

Fetches kernels the first time, so it is a group of its own: tools/test kernels.
All in virtual time.
"""

import hashlib
import itertools
import re
import subprocess
import time
from collections.abc import Iterator

import pytest
from arm64_host import PARAMS, ROOT, SLACK, Host, Outcome
from payload_runs import Boot, Run, check

CPUS = 4
# The oldest that guest-init works on, kernels with pages of 16 KiB and of the
# rt flavour, and the newest.
OLDEST = "debian:5.10"
RT = "debian:6.1-rt"
LARGE_PAGES = "debian:6.12-16k"
KERNELS = (OLDEST, "debian:6.1", RT, "debian:6.1-arm64", LARGE_PAGES, "debian:6.19",
           "debian:7.3")
FETCH_DEADLINE = 600  # seconds; 100 MB at most
IMAGE_DEADLINE = 120
KEXEC_DEADLINE = 60  # of a busy machine
WALK_DEADLINE = len(KERNELS) ** 2 * KEXEC_DEADLINE
# All kernels in one archive, its unpacked files, and two copies while it is loaded.
MEMORY = "2G"
FAILED = 1

# Whichever test is the first of a worker's fetches them all.
FETCH_ALL_DEADLINE = len(KERNELS) * FETCH_DEADLINE
pytestmark = [pytest.mark.usefixtures("host"), pytest.mark.timeout(FETCH_ALL_DEADLINE + 600)]


def run(*command: str, deadline: int) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True,
                          timeout=deadline, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
    return done.stdout.strip()


class Kernel:
    def __init__(self, name: str) -> None:
        self.name = name
        self.image = ROOT / run("tools/kernel", "fetch", name, deadline=FETCH_DEADLINE)
        self.path = str(self.image.relative_to(ROOT))
        self.guest_path = f"/boot/{name.removeprefix('debian:')}"
        banner = re.search(rb"Linux version (\S+) \(", self.image.read_bytes())
        assert banner, f"{self.path} does not say which Linux it is"
        self.release = banner.group(1).decode()


@pytest.fixture(scope="module")
def kernels() -> dict[str, Kernel]:
    return {name: Kernel(name) for name in KERNELS}


def guest_image(name: str, *options: str) -> str:
    """An initramfs without /boot/Image, below the repository's build folder."""
    output = ROOT / "build/guest" / f"initramfs-kernels-{name}.cpio"
    run("tools/guest-image", "--no-kernel", "--output", str(output), *options,
        deadline=IMAGE_DEADLINE)
    return str(output.relative_to(ROOT))


def boot(host: Host, kernel: Kernel, initrd: str, params: str, *,
         retained: bool = True, deadline: int = 240) -> Outcome:
    words = PARAMS if retained else PARAMS.replace("retain_initrd", "")
    return host.run(
        ["vmm", "run", "--seed", "1", "--cpus", str(CPUS), "--memory", MEMORY,
         "--timeout", f"{deadline}s", "--params", f"{words} {params}",
         "--initrd", initrd, "--results", "@RESULTS@/results.json", kernel.path],
        cpus=CPUS, deadline=deadline)


def circuit(names: tuple[str, ...]) -> Iterator[str]:
    """A closed walk that takes each ordered pair once, also from each to itself."""
    for number, name in enumerate(names):
        yield name
        for other in names[number + 1:]:
            yield from (name, other)


def seen(outcome: Outcome) -> list[tuple[int, int, str]]:
    """Of each boot: the kexecs before it, the CPUs online, and Linux's release."""
    return [(int(cycle), int(cpus), release) for cycle, cpus, release in re.findall(
        r"guest-init: up, cycle (\d+) of \d+, (\d+) CPUs online, Linux (\S+)",
        outcome.stdout)]


def assert_all_back(outcome: Outcome, releases: list[str]) -> None:
    """Every boot was of the expected Linux, and no kexec lost a CPU."""
    assert outcome.status == 0, outcome.explain()
    assert seen(outcome) == [(cycle, CPUS, release)
                             for cycle, release in enumerate(releases)]
    results = outcome.json()
    assert [(kexec["cpus"], kexec["cpus_back"], kexec["verdict"])
            for kexec in results["kexecs"]] == [(CPUS, CPUS, "pass")] * (len(releases) - 1)
    assert results["diagnoses"] == []


def test_every_name_is_its_series_and_flavour(kernels) -> None:
    for name, kernel in kernels.items():
        series, _, flavour = name.removeprefix("debian:").partition("-")
        assert kernel.release.startswith(f"{series}."), kernel.release
        assert f"-{flavour or 'cloud'}" in kernel.release


@pytest.mark.timeout(FETCH_ALL_DEADLINE + WALK_DEADLINE + SLACK + IMAGE_DEADLINE)
def test_every_kernel_kexecs_into_every_other_and_itself(host: Host, kernels,
                                                         tmp_path) -> None:
    walk = list(circuit(KERNELS))
    boots = [*walk, walk[0]]
    assert sorted(itertools.pairwise(boots)) == sorted(itertools.product(KERNELS, repeat=2))
    plan = tmp_path / "park.plan"
    plan.write_text("".join(f"{kernels[name].guest_path}\n" for name in boots[1:]))
    added = [f"{kernel.image}:{kernel.guest_path}" for kernel in kernels.values()]
    initrd = guest_image("all", *(
        word for file in [*added, f"{plan}:/park.plan"] for word in ("--add", file)))
    begun = time.monotonic()
    outcome = boot(host, kernels[walk[0]], initrd,
                   f"park.cycles={len(walk)} park.plan=/park.plan",
                   deadline=WALK_DEADLINE)
    print(f"{len(walk)} kexecs in {time.monotonic() - begun:.0f} s")
    print(outcome.stderr)
    assert_all_back(outcome, [kernels[name].release for name in boots])


@pytest.mark.parametrize("name", [OLDEST, RT])
def test_initrd_reaches_the_next_kernel_unchanged(host: Host, kernels, tmp_path,
                                                  name: str) -> None:
    """On a Linux that does not show the initrd as a file: every byte of its largest
    file is there after two kexecs."""
    kernel = kernels[name]
    sums = tmp_path / "sums"
    digest = hashlib.md5(kernel.image.read_bytes()).hexdigest()
    sums.write_text(f"{digest}  /boot/Image\n")
    initrd = guest_image(kernel.image.parent.name, "--add",
                         f"{kernel.image}:/boot/Image", "--add", f"{sums}:/sums")
    outcome = boot(host, kernel, initrd,
                   'park.cycles=2 park.check="/bin/busybox md5sum -c /sums"')
    assert_all_back(outcome, [kernel.release] * 3)
    assert outcome.stdout.count("/bin/busybox passed") == 3


# Park pages are of 4 KiB whatever the host's are.
HOST_OF_LARGE_PAGES = Boot("large-pages", ("--deterministic", "--host-kernel", LARGE_PAGES), (
    Run("park_device", cpus=4), Run("psci_calls", cpus=17),
    Run("park_matrix", cpus=8, params="old=page new=page between cycles=2",
        next=("park_matrix",))))


@pytest.mark.parametrize("run_", HOST_OF_LARGE_PAGES.runs, ids=lambda run_: run_.name)
@pytest.mark.xdist_group("large-pages")
def test_a_host_may_have_larger_pages_than_its_guests(kernels, run_: Run) -> None:
    check(HOST_OF_LARGE_PAGES, run_)


def test_linux_of_small_pages_kexecs_on_a_host_of_larger_ones(host: Host, kernels) -> None:
    outcome = host.linux("--cpus", "4", params="park.cycles=1",
                         options=("--host-kernel", LARGE_PAGES))
    assert outcome.status == 0, outcome.explain()
    document = outcome.json()
    assert document["host"]["kernel"] == kernels[LARGE_PAGES].release
    assert [kexec["cpus_back"] for kexec in document["kexecs"]] == [4]


def test_a_missing_word_is_said_before_a_module_is_loaded(host: Host, kernels) -> None:
    kernel = kernels[OLDEST]
    initrd = guest_image("missing", "--add", f"{kernel.image}:/boot/Image")
    outcome = boot(host, kernel, initrd, "park.cycles=1 park.module=/nowhere",
                   retained=False)
    assert outcome.status == FAILED, outcome.explain()
    assert [line for line in outcome.stdout.splitlines() if "FAIL" in line] == [
        "guest-init: FAIL: no initrd for the next kernel: retain_initrd is not on the "
        "command line"]
