# SPDX-License-Identifier: Apache-2.0
"""An arm64 machine on which the product was built natively: an emulated Debian, or
somebody's machine by ssh."""

import os
import pathlib
import subprocess
import time

import debian_root
from arm64_host import ROOT

BUILD_DEADLINE = 5400  # seconds; under qemu-user the first build takes half an hour
RUN_DEADLINE = 3000
FOLDER = ROOT / "build" / "native"
SSH = os.environ.get("PARKVMM_SSH", "")
REMOTE = ".parkvmm-native"  # the clone on the machine of --ssh
DISK_HEADROOM = 1 << 30  # bytes for what runs there

# The disk is this machine's root. busybox's chroot finds no program by PATH.
BOOT = """\
mkdir -p /mnt
mount -t ext4 /dev/vda /mnt
for folder in dev proc sys; do mount --bind /$folder /mnt/$folder; done
mount -t tmpfs tmpfs /mnt/tmp
exec chroot /mnt /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \\
  /bin/sh -c "cd /parkvmm && $1"
"""


def make_disk(root: pathlib.Path, disk: pathlib.Path) -> None:
    """Makes a disk of what is in a root."""
    disk.unlink(missing_ok=True)
    used = int(subprocess.run(["du", "-sxB1", str(root)], check=True, capture_output=True,
                              text=True).stdout.split()[0])
    with open(disk, "wb") as file:
        file.truncate(used + used // 8 + DISK_HEADROOM)
    subprocess.run(["/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk)],
                   check=True, timeout=600)


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
    make_disk(root.folder, disk)
    print(f"{release}: built natively in {time.monotonic() - begun:.0f} s", flush=True)
    return disk


def run(command: str, disk: pathlib.Path | None, kernel: str,
        ) -> subprocess.CompletedProcess[str]:
    """A command on the arm64 machine: the emulated one, or that of --ssh."""
    begun = time.monotonic()
    words = (["ssh", "-oBatchMode=yes", SSH, f"cd {REMOTE} && {command}"] if SSH else
             ["tools/arm64-host", "--emulated", "--host-kernel", kernel, "--disk", str(disk),
              "--cpus", "4", "--memory", "10G", "--timeout", f"{RUN_DEADLINE}s", "--",
              "sh", "-euc", BOOT.replace("$1", command)])
    print(f"$ {command}", flush=True)
    done = debian_root.run_shown(words, RUN_DEADLINE + 60, ROOT)
    print(f"status {done.returncode} after {time.monotonic() - begun:.0f} s", flush=True)
    return done


def send_clone() -> None:
    """A clone of this one's HEAD on the machine of --ssh, built there."""
    script = (f"test -d {REMOTE} || git init -q {REMOTE}; cd {REMOTE} && cat >.git/bundle && "
              "git fetch -q .git/bundle HEAD && git reset -q --hard FETCH_HEAD")
    bundle = subprocess.run(["git", "bundle", "create", "-", "HEAD"], cwd=ROOT, check=True,
                            capture_output=True, timeout=300).stdout
    subprocess.run(["ssh", "-oBatchMode=yes", SSH, script], input=bundle, check=True, timeout=600)
