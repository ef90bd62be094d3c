# SPDX-License-Identifier: Apache-2.0
"""Arms, and what has to be built for them.

An arm is a kernel, how it takes its CPUs down before a kexec, and who plays the
park page.
"""

import dataclasses
import os
import pathlib
import shutil
import subprocess

from parkvmm.debian import kernels
from parkvmm.failure import Failure
from parkvmm.files import digest
from parkvmm.paths import GUEST, IMAGE, OWN_KERNELS, ROOT

STOP = GUEST / "parkvmm-stop.ko"
UNCORE = GUEST / "parkvmm-uncore.ko"
IPI = GUEST / "parkvmm-ipi.ko"
BUILD_DEADLINE = 2400  # seconds; a kernel takes a few minutes, once


@dataclasses.dataclass(frozen=True)
class Arm:
    what: str  # for people
    stock: bool  # Debian's kernel, not ours
    params: str = ""
    park: str = "host"
    module: pathlib.Path | None = None
    extra: bool = False  # no way to take CPUs over a kexec, so not one of "all"

    def kernel(self, variant: str, given: str = "") -> pathlib.Path:
        """Returns the arm's kernel, or the copy below build/ of a `given` file or name."""
        if given:
            return GUEST / "given" / digest(kernels.path_of(given))[:16] / "Image"
        return IMAGE if self.stock else OWN_KERNELS / variant / "Image"

    def initrd(self, variant: str, given: str = "") -> pathlib.Path:
        if given:
            return self.kernel(variant, given).with_name("initramfs.cpio")
        kind = {STOP: "module", UNCORE: "uncore", IPI: "ipi",
                None: "stock" if self.stock else "patched"}[self.module]
        suffix = "" if variant == "default" or self.stock else f"-{variant}"
        return GUEST / f"initramfs-{kind}{suffix}.cpio"


ARMS = {
    "stock": Arm("Debian's kernel: hotplug, one by one", True),
    "stock-expedited": Arm("the same, RCU expedited", True, "rcupdate.rcu_expedited=1"),
    "module": Arm("the same, and a module that stops all CPUs at once", True,
                  f"park.module=/lib/{STOP.name}", module=STOP),
    "hotplug": Arm("our kernel: hotplug", False, "kexec_teardown=hotplug"),
    "expedited": Arm("RCU expedited while CPUs go down", False, "kexec_teardown=expedited"),
    "stop": Arm("all at once, CPU_OFF", False, "kexec_teardown=stop"),
    "hotplug-page": Arm("hotplug, then the park page", False,
                        "kexec_teardown=hotplug+page"),
    "park-guest": Arm("all at once, the page, the guest's loop", False,
                      "kexec_teardown=park", park="guest"),
    "park-host": Arm("all at once, the page, parked in the VMM", False,
                     "kexec_teardown=park"),
    "park-device": Arm("all at once, the device page", False, "kexec_teardown=park-device"),
    "stock-uncore": Arm("Debian's kernel with 4 dies' uncore PMUs, as before Linux 6.3", True,
                        f"park.module=/lib/{UNCORE.name}", module=UNCORE, extra=True),
    "stock-ipi": Arm("Debian's kernel, and before that 5 IPIs to all others that do nothing", True,
                     f"park.module=/lib/{IPI.name}", module=IPI, extra=True),
}


def build(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=BUILD_DEADLINE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise Failure(done.returncode, f"{' '.join(command)} failed")


def take(given: str, kernel: pathlib.Path) -> None:
    """Copies a kernel. The copy is whole, or not there."""
    if kernel.exists():
        return
    kernel.parent.mkdir(parents=True, exist_ok=True)
    part = kernel.with_name(f"Image.{os.getpid()}")
    shutil.copyfile(kernels.path_of(given), part)
    part.replace(kernel)


def prepare(wanted: set[tuple[str, str, str]]) -> None:
    """Builds kernels and initramfs of these arms, variants and given kernels, unless
    they are there."""
    chosen = sorted(wanted)
    for variant in sorted({variant for arm, variant, given in chosen
                           if not ARMS[arm].stock and not given}):
        build("tools/guest-kernel", "build", "--variant", variant)
    if any(ARMS[arm].module for arm, *_ in chosen):
        build("tools/guest-module/build")
    for initrd, (arm, variant, given) in {ARMS[arm].initrd(variant, given): (arm, variant, given)
                                          for arm, variant, given in chosen}.items():
        kernel, module = ARMS[arm].kernel(variant, given), ARMS[arm].module
        if given:
            take(given, kernel)
        build("tools/guest-image", "--kernel", str(kernel), "--output", str(initrd),
              *(["--module", str(module)] if module else []))
