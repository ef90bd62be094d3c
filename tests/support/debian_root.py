# SPDX-License-Identifier: Apache-2.0
"""Root file systems of Debian releases, and commands in them. As root only."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from arm64_host import ROOT
from parkvmm.debian import apt

MAKE_DEADLINE = 1800  # seconds for mmdebstrap; under qemu-user it takes a few minutes
BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
QEMU_USER = "/usr/bin/qemu-aarch64-static"
# Of an ELF header: class, byte order, version, OS; type; machine. The mask leaves the
# OS free, and takes executables and shared objects.
MAGIC = r"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
CLONE = "parkvmm"  # where in a root the clone lies

# In a mount namespace of its own, so that nothing stays mounted.
ENTER = """\
root=$1
shift
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
exec chroot "$root" "$@"
"""


def can_make() -> str:
    """Why no root can be made here; empty if one can."""
    if os.geteuid():
        return "root makes them"
    for program in ("mmdebstrap", "unshare"):
        if not shutil.which(program):
            return f"{program} is not installed; run tools/setup native"
    return ""


def marks() -> list[pytest.MarkDecorator]:
    """What the modules have that make roots."""
    return [pytest.mark.usefixtures("clocked"), pytest.mark.skipif(
        bool(can_make()) and not os.environ.get("PARKVMM_REQUIRE_KVM"),
        reason=can_make() or "nothing")]


def run_arm64_programs() -> None:
    """Has this machine run arm64's programs by qemu-user, if it does not yet. The F flag
    keeps the interpreter open, so that it works in a root, too."""
    if os.uname().machine == "aarch64":
        return
    if not (BINFMT / "register").exists():
        subprocess.run(["mount", "-t", "binfmt_misc", "none", str(BINFMT)], check=True)
    if (BINFMT / "qemu-aarch64").exists():
        return
    print(f"binfmt_misc: arm64's programs are run by {QEMU_USER} from now on", file=sys.stderr)
    (BINFMT / "register").write_text(f":qemu-aarch64:M::{MAGIC}:{MASK}:{QEMU_USER}:OCF")


def make(release: str, folder: pathlib.Path, architecture: str = "") -> None:
    """An empty root: what apt needs, and no more."""
    sites = apt.machine_sites()
    sources = [f"deb {sites.main} {release} main", f"deb {sites.main} {release}-updates main"]
    if sites.security:
        sources.append(f"deb {sites.security} {release}-security main")
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f"{folder.name}.new")
    subprocess.run(["rm", "-rf", str(draft)], check=True)
    subprocess.run(
        ["mmdebstrap", "--quiet", "--mode=root", "--variant=apt",
         *([f"--architectures={architecture}"] if architecture else []),
         release, str(draft), *sources], check=True, timeout=MAKE_DEADLINE)
    draft.rename(folder)


def run_shown(words: list[str], deadline: int, cwd: pathlib.Path | None = None,
              ) -> subprocess.CompletedProcess[str]:
    """Runs a command, both outputs in one, and shows what it says as it comes."""
    lines: list[str] = []
    with subprocess.Popen(["timeout", "--kill-after=30", str(deadline), *words], cwd=cwd,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace") as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    return subprocess.CompletedProcess(words, process.returncode, "".join(lines), "")


def empty(release: str, folder: pathlib.Path) -> "Root":
    """A root in which nothing is but apt, in the place of what is in the folder. The first of a
    release is made, and kept beside it for the others."""
    pristine = folder.with_name(f"{release}.empty")
    if not pristine.exists():
        make(release, pristine)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-a", str(pristine), str(folder)], check=True, timeout=600)
    return Root(folder)


class Root:
    """A root file system, and the clone in it. For one thread."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def command(self, *words: str, user: str = "root") -> list[str]:
        """Returns what runs a command in there, in the clone, as a user."""
        shell = (f'cd /{CLONE} && exec "$@"', "sh", *words)
        inside = (["/bin/sh", "-c", *shell] if user == "root" else
                  ["/sbin/runuser", "-u", user, "--", "/bin/sh", "-c", *shell])
        proxies = [f"{name}={value}" for name, value in os.environ.items()
                   if name in ("http_proxy", "https_proxy", "no_proxy")]
        return ["unshare", "--mount", "--propagation", "private", "--pid", "--fork",
                "--kill-child", "sh", "-euc", ENTER, "sh", str(self.folder),
                "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                f"HOME={'/root' if user == 'root' else f'/home/{user}'}", "LC_ALL=C.UTF-8",
                *proxies, *inside]

    def run(self, *words: str, deadline: int, user: str = "root",
            ) -> subprocess.CompletedProcess[str]:
        print(f"$ {' '.join(words)}", flush=True)
        return run_shown(self.command(*words, user=user), deadline)

    def update_clone(self) -> None:
        """A clone of this one's HEAD; what was built in it before stays."""
        clone = self.folder / CLONE
        if not clone.exists():
            subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(clone)],
                           check=True, timeout=300)
        git = ["git", "-C", str(clone), "-c", "safe.directory=*"]
        subprocess.run([*git, "fetch", "--quiet", str(ROOT), "HEAD"], check=True, timeout=300)
        subprocess.run([*git, "reset", "--quiet", "--hard", "FETCH_HEAD"], check=True, timeout=300)
