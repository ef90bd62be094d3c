# SPDX-License-Identifier: Apache-2.0
"""Makes what is handed to users, from the commit that is checked out.

    tools/release [OPTION]...

    parkvmm-VERSION-bundle.tar.gz   vmm for any Linux that has Python 3.11 and
                                    qemu-system-aarch64, or KVM on arm64
    parkvmm_VERSION_arm64.deb       vmm alone, for arm64 machines with KVM
    parkvmm_VERSION_amd64.deb       what the bundle holds, for other machines
    parkvmm-VERSION.tar.gz          the source
    SHA256SUMS                      their checksums

The same commit gives the same bytes, in any clone, where the compiler, the
libraries and the tools that pack are the same. VERSION is that of
CMakeLists.txt if a tag at the commit says so; else the commit's date and name
follow it. A clone with changes that are in no commit is refused.

Exit status: 1 a build failed, 2 usage, 65 packages are not as they should be,
69 something is missing.
"""

import argparse
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from parkvmm.failure import DATA, DIFFERS, UNAVAILABLE, USAGE, Failure, end_with
from parkvmm.packages import archive
from parkvmm.packages.installation import FRONT_DOOR, install, make_package
from parkvmm.paths import BUILD, ROOT, SCRATCH

DEADLINE = 3600  # seconds for a build, with nothing built before
PARTS = ("cross", "guest", "packages")  # of tools/setup
README = """\
<!-- SPDX-License-Identifier: Apache-2.0 -->
# parkvmm {version}

`vmm` boots AArch64 kernels under KVM, follows each kexec CPU by CPU, and says which phase took the
time and which CPUs came back. This bundle runs where it was unpacked, which may be read-only:

    bin/vmm-demo                                     # Debian's kernel kexecs three times
    bin/vmm run -c 8 -p console=ttyAMA0 -i my.cpio path/to/Image
    bin/vmm doctor                                   # what the host can do
    man -l share/man/man1/vmm-run.1.gz               # every option

It needs Python 3.11 or newer. Where KVM cannot run AArch64 guests it also needs
`qemu-system-aarch64`, which Debian and Ubuntu have in `qemu-system-arm`; `bin/vmm` then emulates an
arm64 host. What it keeps is in `~/.cache/parkvmm`, and may be removed at any time.

On an arm64 machine `lib/parkvmm/bin/vmm` is the program itself, static and without Python.

[share/doc/parkvmm/docs/guide.md](share/doc/parkvmm/docs/guide.md) has every option, by task.
[share/doc/parkvmm/third-party/README.md](share/doc/parkvmm/third-party/README.md) says whose work
this holds, under which licences, and where its source is.
"""


def say(message: str) -> None:
    print(f"release: {message}", file=sys.stderr, flush=True)


def git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode:
        raise Failure(UNAVAILABLE, f"git {words[0]}: {done.stderr.strip()}; a release is made in "
                      "a clone")
    return done.stdout.strip()


def call(words: list[str], deadline: int, environment: dict[str, str]) -> None:
    """Runs a step, whose output goes to stderr. Raises Failure with its status."""
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=sys.stderr,
                          env=os.environ | environment) as process:
        try:
            status = process.wait(deadline)
        except BaseException:
            process.terminate()
            raise
    if status < 0:
        raise Failure(128 - status, f"{' '.join(words)} was ended by "
                      f"{signal.Signals(-status).name}")
    if status:
        known = status if status in (DATA, UNAVAILABLE) else DIFFERS
        raise Failure(known, f"{' '.join(words)} failed with exit status {status}; the lines above "
                      "say why")


def version_in(text: str) -> str:
    match = re.search(r"^project\(parkvmm VERSION (\S+)", text, re.MULTILINE)
    if not match:
        raise Failure(DATA, "CMakeLists.txt has no version; it says project(parkvmm VERSION ...)")
    return match[1]


def version_of(base: str, tags: list[str], commit: str, epoch: int, dirty: bool) -> str:
    """Returns the version of a release. One that is later than another sorts behind it."""
    if base in tags and not dirty:
        return base
    date = time.strftime("%Y%m%d", time.gmtime(epoch))
    return f"{base}+{date}.g{commit[:12]}{'.dirty' * dirty}"


def changes(status: str) -> list[str]:
    """Returns what `git status --porcelain` names."""
    return [line[3:] for line in status.splitlines()]


def check_clean(status: str, allowed: bool) -> bool:
    """Returns whether there are changes. Raises Failure if there may be none."""
    names = changes(status)
    if names and not allowed:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        raise Failure(USAGE, f"{', '.join(names[:3])}{more}: in no commit; commit or stash it, or "
                      "say --dirty, and the version says so")
    return bool(names)


def make_bundle(prefix: pathlib.Path, version: str, target: pathlib.Path, epoch: int) -> None:
    (prefix / "README.md").write_text(README.format(version=version))
    shutil.copyfile(ROOT / "LICENSE", prefix / "LICENSE")
    archive.pack(prefix, f"parkvmm-{version}", target, epoch)


def make_source(version: str, target: pathlib.Path) -> None:
    draft = target.with_name(target.name + ".draft")
    git("archive", "--format=tar", f"--prefix=parkvmm-{version}/", f"--output={draft}", "HEAD")
    archive.compressed(draft, target)
    draft.unlink()


def make(version: str, epoch: int, work: pathlib.Path, log: pathlib.Path) -> list[pathlib.Path]:
    """Packs what is built. Returns the files."""
    environment = {"SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    done = work / "done"
    done.mkdir()
    say("packing the bundle")
    install(work / "bundle", log, environment)
    files = [done / f"parkvmm-{version}-bundle.tar.gz", done / f"parkvmm-{version}.tar.gz"]
    make_bundle(work / "bundle", version, files[0], epoch)
    make_source(version, files[1])
    packages: dict[str, dict[str, str]] = {"arm64": {}, "amd64": FRONT_DOOR}
    for name, variables in packages.items():
        say(f"packing the package for {name}")
        package = make_package({"CPACK_PACKAGE_VERSION": version, **variables}, work / name, log,
                               environment)
        files.append(package.rename(done / package.name))
    (done / archive.SUMS).write_text(archive.sums(files))
    return [*files, done / archive.SUMS]


def publish(files: list[pathlib.Path], out: pathlib.Path) -> None:
    """Moves the files where they were asked for, the checksums last."""
    out.mkdir(parents=True, exist_ok=True)
    for path in files:
        shutil.move(path, out / path.name)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="tools/release", allow_abbrev=False, description=__doc__,
                                     usage="tools/release [OPTION]...",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", metavar="DIR", type=pathlib.Path, default=ROOT / "out/release",
                        help="where the files go (out/release)")
    parser.add_argument("--dirty", action="store_true",
                        help="with changes that are in no commit; the version says so. The source "
                        "archive is of the commit")
    parser.add_argument("--locked", action="store_true",
                        help="with the packages of tools/packages.lock, or not at all")
    options = parser.parse_args(argv)
    dirty = check_clean(git("status", "--porcelain"), options.dirty)
    commit, epoch = git("rev-parse", "HEAD"), int(git("log", "-1", "--format=%ct"))
    version = version_of(version_in((ROOT / "CMakeLists.txt").read_text()),
                         git("tag", "--points-at", "HEAD").split(), commit, epoch, dirty)
    say(f"version {version}")
    locked = ["--locked"] if options.locked else []
    call(["tools/setup", "--quiet", *locked, *PARTS], DEADLINE, {})
    # The commit is read when CMake configures, and the tree may have been dirty then.
    call(["tools/build", "arm64", "rebuild_cache"], DEADLINE, {})
    call(["tools/build", "arm64"], DEADLINE, {})
    SCRATCH.mkdir(parents=True, exist_ok=True)
    log = BUILD / "release.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="release.", dir=SCRATCH) as name:
        publish(make(version, epoch, pathlib.Path(name), log), options.out.absolute())
    print((options.out / archive.SUMS).read_text(), end="")
    say(f"ready: {options.out}")
    return 0


if __name__ == "__main__":
    end_with("release", main)
