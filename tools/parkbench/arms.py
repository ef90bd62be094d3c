# SPDX-License-Identifier: Apache-2.0
"""Arms: a kernel, how it takes its CPUs down before a kexec, and who plays the
park page. And what has to be built for them."""

import dataclasses
import pathlib
import subprocess

from .failure import Failure

ROOT = pathlib.Path(__file__).resolve().parents[2]
GUEST = ROOT / "build" / "guest"
STOCK = GUEST / "debian" / "Image"
MODULE = GUEST / "parkvmm-stop.ko"
PARAMS = "console=ttyAMA0 quiet panic=-1 retain_initrd"
BUILD_DEADLINE = 2400  # seconds; a kernel takes a few minutes, once


@dataclasses.dataclass(frozen=True)
class Arm:
    what: str  # for people
    stock: bool  # Debian's kernel, not ours
    params: str = ""
    park: str = "host"
    module: bool = False

    def kernel(self, variant: str) -> pathlib.Path:
        return STOCK if self.stock else GUEST / "kernels" / variant / "Image"

    def initrd(self, variant: str) -> pathlib.Path:
        kind = "module" if self.module else "stock" if self.stock else "patched"
        suffix = "" if variant == "default" or self.stock else f"-{variant}"
        return GUEST / f"initramfs-{kind}{suffix}.cpio"


ARMS = {
    "stock": Arm("Debian's kernel: hotplug, one by one", True),
    "stock-expedited": Arm("the same, RCU expedited", True, "rcupdate.rcu_expedited=1"),
    "module": Arm("the same, and a module that stops all CPUs at once", True,
                  f"park.module=/lib/{MODULE.name}", module=True),
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
}


def build(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False, timeout=BUILD_DEADLINE,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if done.returncode:
        raise Failure(done.returncode, f"{' '.join(command)} failed")


def prepare(wanted: set[tuple[str, str]]) -> None:
    """Kernels and initramfs of these arms and variants; what is there is not
    built again."""
    chosen = sorted(wanted)
    for variant in sorted({variant for arm, variant in chosen if not ARMS[arm].stock}):
        build("tools/guest-kernel", "build", "--variant", variant)
    if any(ARMS[arm].module for arm, _ in chosen):
        build("tools/guest-module/build")
    for initrd, (arm, variant) in {ARMS[arm].initrd(variant): (arm, variant)
                                   for arm, variant in chosen}.items():
        build("tools/guest-image", "--kernel", str(ARMS[arm].kernel(variant)),
              "--output", str(initrd),
              *(["--module", str(MODULE)] if ARMS[arm].module else []))
