# SPDX-License-Identifier: Apache-2.0
"""A release, made for real and used where nothing else of ours is.

It builds once more from nothing, and takes root's rights: tools/test packages.
"""

import json
import pathlib
import re
import shutil
import subprocess
import time

import debian_root
import native_walk
import pytest
from action_steps import Job
from arm64_host import ROOT
from case_readers import junit_cases
from parkvmm.packages.archive import SUMS

FOLDER = ROOT / "build" / "packages"
MAKE_DEADLINE = 3 * 3600  # seconds for a release with all that it builds
RUN_DEADLINE = 2400
SHORT_DEADLINE = 600
USER = "somebody"
FILES = "find / -xdev ! -type d ! -path '/proc/*' ! -path '/tmp/*' | sort"

pytestmark = debian_root.marks()


def make(clone: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    shutil.rmtree(out, ignore_errors=True)
    done = debian_root.run_shown([str(clone / "tools/release"), "--out", str(out)], MAKE_DEADLINE,
                                 clone)
    assert done.returncode == 0
    return out


@pytest.fixture(scope="session")
def release() -> pathlib.Path:
    """What this clone makes."""
    subprocess.run([str(ROOT / "tools/guest-image")], check=True, timeout=300)
    return make(ROOT, FOLDER / "here")


def of_kind(release: pathlib.Path, pattern: str) -> pathlib.Path:
    found, = release.glob(pattern)
    return found


def empty(release: str, name: str) -> debian_root.Root:
    """A root in which nothing is but apt."""
    root = debian_root.empty(release, FOLDER / name)
    (root.folder / debian_root.CLONE).mkdir()  # What commands begin in.
    return root


def shell(root: debian_root.Root, script: str, deadline: int = SHORT_DEADLINE,
          user: str = "root") -> subprocess.CompletedProcess[str]:
    return root.run("sh", "-euc", script, deadline=deadline, user=user)


def test_another_clone_gives_the_same_bytes(release) -> None:
    """It lies elsewhere, knows no tags and few commits, and builds everything itself. What is
    fetched from Debian it gets from here."""
    clone = FOLDER / "another clone" / "deeper"
    shutil.rmtree(clone.parent, ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--depth=1", f"file://{ROOT}", str(clone)],
                   check=True, timeout=300)
    for part in ("sysroot", "guest/debian"):
        (clone / "build" / part).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-a", str(ROOT / "build" / part), str(clone / "build" / part)],
                       check=True, timeout=600)
    other = make(clone, FOLDER / "there")
    assert (release / SUMS).read_text() == (other / SUMS).read_text()
    for folder in (release, other):
        subprocess.run(["sha256sum", "--strict", "--quiet", "-c", SUMS], cwd=folder, check=True,
                       timeout=300)


def test_the_source_says_which_commit_it_is_of(release, tmp_path) -> None:
    source = next(path for path in release.glob("parkvmm-*.tar.gz") if "bundle" not in path.name)
    subprocess.run(["tar", "xzf", str(source), "-C", str(tmp_path)], check=True, timeout=300)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, check=True, text=True,
                            capture_output=True, timeout=60).stdout.strip()
    text = next(tmp_path.iterdir()) / "tools/dev/cmake/commit.txt"
    assert commit in text.read_text().splitlines()


def test_the_bundle_runs_the_demo_with_python_and_qemu_alone(release) -> None:
    root = empty("trixie", "bundle")
    bundle = of_kind(release, "*-bundle.tar.gz")
    shutil.copy(bundle, root.folder / debian_root.CLONE)
    tree = "/opt/" + bundle.name.removesuffix("-bundle.tar.gz")
    assert shell(root, f"tar xzf {bundle.name} -C /opt").returncode == 0
    lacking = shell(root, f"apt-get -qq update && apt-get -qq install -y --no-install-recommends "
                    f"python3 && {tree}/bin/vmm --host emulated doctor")
    assert lacking.returncode == 69
    assert "qemu-system-aarch64 is missing; install qemu-system-arm" in lacking.stdout
    assert shell(root, "apt-get -qq install -y --no-install-recommends qemu-system-arm",
                 RUN_DEADLINE).returncode == 0
    # As a user who may write nothing but what is below home.
    assert shell(root, f"useradd -m {USER}; chown -R root:root {tree}; chmod -R a-w {tree}"
                 ).returncode == 0
    before = set(shell(root, FILES).stdout.splitlines())
    demo = shell(root, f"cd ~ && {tree}/bin/vmm-demo", RUN_DEADLINE, USER)
    assert demo.returncode == 0
    assert demo.stdout.count("4 of 4") == 5, "the first boot, three kexecs, and their sum"
    assert "label kvm-on-tcg-icount" in demo.stdout
    again = shell(root, f"cd ~ && {tree}/bin/vmm-demo --cycles 1 --cpus 2 --out two", RUN_DEADLINE,
                  USER)
    assert again.returncode == 0 and again.stdout.count("2 of 2") == 3
    run = shell(root, f"cd ~ && {tree}/bin/vmm --deadline 35m run --timeout 30m "
                "-p 'console=ttyAMA0 quiet panic=-1' "
                f"--results r.json -i .cache/parkvmm/demo/initramfs.cpio "
                f"{tree}/lib/parkvmm/guest/Image -- sh -c 'exit 7'", RUN_DEADLINE, USER)
    assert run.returncode == 7
    added = set(shell(root, FILES).stdout.splitlines()) - before
    assert f"/home/{USER}/r.json" in added and f"/home/{USER}/parkvmm-demo/results.json" in added
    assert not [path for path in added if not path.startswith(f"/home/{USER}/")
                and path.startswith("/")]


def test_the_package_for_amd64_runs_a_guest_and_leaves_nothing(release) -> None:
    root = empty("trixie", "amd64")
    package = of_kind(release, "*_amd64.deb")
    shutil.copy(package, root.folder / debian_root.CLONE)
    shutil.copy(ROOT / "build/guest/debian/Image", root.folder / debian_root.CLONE)
    shutil.copy(ROOT / "build/guest/initramfs.cpio", root.folder / debian_root.CLONE)
    assert shell(root, "apt-get -qq update && apt-get -qq install -y --no-install-recommends "
                 "python3 qemu-system-arm", RUN_DEADLINE).returncode == 0
    before = shell(root, f"rm -rf /var/cache/apt/archives/*.deb; {FILES}").stdout
    assert shell(root, f"apt-get -qq install -y ./{package.name}").returncode == 0
    version = shell(root, "vmm --version")
    assert version.returncode == 0 and re.search(r"^vmm [\d.]+ \(commit [0-9a-f]{12}\)$",
                                                 version.stdout, re.MULTILINE)
    run = shell(root, "vmm --deadline 35m run --timeout 30m "
                "-p 'console=ttyAMA0 quiet panic=-1' -i initramfs.cpio Image "
                "-- sh -c 'echo in the guest; exit 7'", RUN_DEADLINE)
    assert run.returncode == 7 and "in the guest" in run.stdout
    assert shell(root, "apt-get -qq purge -y parkvmm && rm -rf /root/.cache").returncode == 0
    after = shell(root, FILES).stdout
    assert changed(before, after) == set()


def changed(before: str, after: str) -> set[str]:
    """Returns files that came or went, but for what apt and dpkg keep of every package."""
    kept = re.compile(r"/var/(log|lib/(dpkg|apt)|cache/(apt|debconf|man))/|/parkvmm/")
    return {path for path in set(before.splitlines()) ^ set(after.splitlines())
            if path.startswith("/") and not kept.match(path)}


# Commands in the emulated arm64 machine, each with what precedes its output.
WALK = """\
before() { %(files)s; }
before >/tmp/before
dpkg --install /parkvmm/%(package)s
vmm --version
echo == man; MANWIDTH=80 man vmm | head -n 20; MANWIDTH=80 man vmm-run | grep -A 1 cpus
echo == completion
bash -c 'source /usr/share/bash-completion/bash_completion
{ _comp_load vmm || __load_completion vmm; } 2>/dev/null  # Its name before and after 2.12.
COMP_WORDS=(vmm run --psc) COMP_CWORD=2; _vmm; echo "${COMPREPLY[@]}"'
echo == run
vmm run --timeout 30m -p 'console=ttyAMA0 quiet panic=-1' -i /parkvmm/initramfs.cpio \
/parkvmm/Image -- sh -c 'echo in the guest; exit 7' || echo status $?
echo == purge; dpkg --purge parkvmm; before >/tmp/after
diff /tmp/before /tmp/after || true
echo == end
"""


@pytest.mark.skipif(bool(native_walk.SSH), reason="it installs packages: not on anybody's machine")
def test_the_package_for_arm64_is_installed_used_and_purged(release) -> None:
    debian_root.run_arm64_programs()
    root = debian_root.Root(FOLDER / "arm64")
    if not root.folder.exists():
        debian_root.make("bookworm", root.folder, "arm64")
    clone = root.folder / debian_root.CLONE
    shutil.rmtree(clone, ignore_errors=True)
    clone.mkdir()
    package = of_kind(release, "*_arm64.deb")
    shutil.copy(package, clone)
    shutil.copy(ROOT / "build/guest/debian/Image", clone)
    shutil.copy(ROOT / "build/guest/initramfs.cpio", clone)
    (clone / "walk").write_text(WALK % {"files": FILES, "package": package.name})
    # What every Debian has that people use: the package itself needs none of it.
    assert shell(root, "apt-get -qq update && apt-get -qq install -y --no-install-recommends "
                 "man-db bash-completion", RUN_DEADLINE).returncode == 0
    native_walk.make_disk(root.folder, FOLDER / "arm64.img")
    done = native_walk.run("sh -eu ./walk", FOLDER / "arm64.img", "debian:6.12")
    assert done.returncode == 0
    parts = dict(re.findall(r"^== (\w+)\n(.*?)(?=^== )", done.stdout, re.MULTILINE | re.DOTALL))
    assert re.search(r"^vmm [\d.]+ \(commit [0-9a-f]{12}\)$", done.stdout, re.MULTILINE)
    assert "run AArch64 kernels under KVM" in parts["man"] and "--cpus" in parts["man"]
    assert parts["completion"].split() == ["--psci"]
    assert "in the guest" in parts["run"] and "status 7" in parts["run"]
    assert not [line for line in parts["purge"].splitlines()
                if re.match(r"[<>] ", line) and changed(line[2:], "")]


# --- action.yml --------------------------------------------------------------------------

BASE = f"/{debian_root.CLONE}"
COMMAND = "echo in the guest; test $(busybox nproc) = 2"


def job_in(root: debian_root.Root, bundle: pathlib.Path) -> Job:
    """A job whose workspace has a kernel and an initramfs, as if others had made them."""
    base = root.folder / debian_root.CLONE
    for name in ("temp", "workspace"):
        (base / name).mkdir()
    subprocess.run(f"git archive HEAD | tar x -C {base / 'workspace'} --one-top-level=action",
                   shell=True, cwd=ROOT, check=True, timeout=300)
    shutil.copy(bundle, base / "workspace/bundle.tar.gz")
    shutil.copy(ROOT / "build/guest/debian/Image", base / "workspace")
    shutil.copy(ROOT / "build/guest/initramfs.cpio", base / "workspace")

    def shell(script: str, environment: dict[str, str]) -> int:
        words = [f"{name}={value}" for name, value in environment.items()]
        return root.run("env", *words, "bash", "--noprofile", "--norc", "-eo", "pipefail", "-c",
                        f"cd {BASE}/workspace\n{script}", deadline=RUN_DEADLINE).returncode

    return Job({"kernel": "Image", "initrd": "initramfs.cpio", "bundle": "bundle.tar.gz",
                "cpus": "2", "kexec": "1", "timeout": "4m", "params": "quiet\ncryptomgr.notests",
                "command": COMMAND, "artifact": "parkvmm"},
               shell, base / "temp", f"{BASE}/temp", f"{BASE}/tools",
               f"{BASE}/workspace/action", {"action_ref": "v0.1"})


def test_the_steps_of_the_action_run_to_the_end_cold_and_warm(release) -> None:
    """In a Debian 13 that holds apt and nothing else: with nothing cached, and in another one with
    what the first left in the cache."""
    bundle = of_kind(release, "*-bundle.tar.gz")
    cold = empty("trixie", "action-cold")
    for temperature, root in (("cold", cold), ("warm", empty("trixie", "action-warm"))):
        if temperature == "warm":  # What actions/cache brings back.
            subprocess.run(["cp", "-a", str(cold.folder / debian_root.CLONE / "tools"),
                            str(root.folder / debian_root.CLONE / "tools")], check=True,
                           timeout=300)
        job = job_in(root, bundle)
        begun = time.monotonic()
        assert job.run() == 0
        print(f"{temperature}: {time.monotonic() - begun:.0f} s", flush=True)
        out = root.folder / debian_root.CLONE / "workspace/parkvmm-out"
        assert (out / "console.log").read_text() == "in the guest\n" * 2
        kexec, = json.loads((out / "results.json").read_text())["kexecs"]
        assert (kexec["cpus"], kexec["cpus_back"]) == (2, 2)
        assert junit_cases((out / "junit.xml").read_text()) == {
            "stock": {"boot": "passed", "kexec 1": "passed", "end": "passed"}}
        assert job.result("exit-code") == "0" and job.result("kvm") == "emulated"
        assert "| kexec 1 | passed |" in (job.temp / "summary.md").read_text()
