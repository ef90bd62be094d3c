# SPDX-License-Identifier: Apache-2.0
"""The two commands of README.md from nothing: in an empty root of Debian 12 and of 13.

Each release's tests share one root, in this order: what the first installs, the
others find. An hour: tools/test roots.
"""

import json
import pathlib
import re

import debian_root
import pytest
from arm64_host import ROOT

DEMO_DEADLINE = 2400  # seconds, everything installed and built the first time
TEST_DEADLINE = 3600
FOLDER = ROOT / "build" / "roots"
RELEASES = ["bookworm", "trixie"]
USER = "somebody"

pytestmark = debian_root.marks()


def empty(release: str, name: str) -> debian_root.Root:
    """A root in which nothing is but apt, and a clone."""
    root = debian_root.empty(release, FOLDER / name)
    root.update_clone()
    return root


@pytest.fixture(scope="session")
def roots() -> dict[str, debian_root.Root]:
    return {release: empty(release, release) for release in RELEASES}


def edit_lock(root: debian_root.Root) -> None:
    """Makes every line of the lock impossible."""
    path = root.folder / debian_root.CLONE / "tools/packages.lock"
    path.write_text(re.sub(
        r"^([^#\s]\S*) \S+ \S+ ",
        lambda match: f"{match[1].replace('6.12.117', '6.12.999')} 99:0-1 {'0' * 64} ",
        path.read_text(), flags=re.MULTILINE))


def results(root: debian_root.Root) -> dict:
    return json.loads((root.folder / debian_root.CLONE / "out/demo/results.json").read_text())


@pytest.mark.parametrize("release", RELEASES)
def test_demo_from_nothing(roots, release: str) -> None:
    done = roots[release].run("tools/demo", deadline=DEMO_DEADLINE)
    assert done.returncode == 0
    assert done.stdout.count("4 of 4") == 5, "the first boot, three kexecs, and their sum"
    assert results(roots[release])["unlocked"] == []


@pytest.mark.parametrize("release", RELEASES)
def test_everything_that_is_tested(roots, release: str) -> None:
    done = roots[release].run("env", "PARKVMM_REQUIRE_KVM=1", "tools/test",
                              deadline=TEST_DEADLINE)
    assert done.returncode == 0
    assert " 0 failed" in done.stdout


@pytest.mark.parametrize("release", RELEASES)
def test_a_plain_user_who_has_everything_installed(roots, release: str) -> None:
    root = roots[release]
    made = root.run("sh", "-c", f"id {USER} || useradd -m {USER}; chown -R {USER} .", deadline=120)
    assert made.returncode == 0
    try:
        done = root.run("tools/demo", "--cycles", "1", user=USER, deadline=DEMO_DEADLINE)
        assert done.returncode == 0
        # All that was fetched is fetched again, by somebody who is not root.
        done = root.run("sh", "-c", "rm -rf build/guest build/apt build/sysroot && tools/setup",
                        user=USER, deadline=DEMO_DEADLINE)
        assert done.returncode == 0
    finally:
        root.run("chown", "-R", "root", ".", deadline=120)


@pytest.mark.parametrize("release", RELEASES)
def test_a_lock_of_which_nothing_is_left(roots, release: str) -> None:
    root = roots[release]
    edit_lock(root)
    insisting = root.run("tools/demo", "--locked", deadline=DEMO_DEADLINE)
    assert insisting.returncode == 69
    assert insisting.stdout.count("without --locked another version will do") == 1
    done = root.run("tools/demo", deadline=DEMO_DEADLINE)
    assert done.returncode == 0
    taken = re.findall(r"taking (\S+ \S+);", done.stdout)
    assert sorted(results(root)["unlocked"]) == sorted(taken)
    assert [name.partition(" ")[0].partition("-6.")[0] for name in taken] == [
        "linux-image", "busybox-static"]


def test_the_steps_of_the_containerfile() -> None:
    text = (ROOT / "Containerfile").read_text().replace("\\\n", " ")
    steps = re.findall(r"^(FROM|WORKDIR|COPY|RUN|CMD) (.*)$", text, re.MULTILINE)
    assert len(steps) == len(re.findall(r"^[A-Z]", text, re.MULTILINE)), "a step we do not know"
    assert [word for kind, word in steps if kind in ("WORKDIR", "COPY")] == [
        f"/{debian_root.CLONE}", f". /{debian_root.CLONE}"]
    image, = (word for kind, word in steps if kind == "FROM")
    root = empty(image.removeprefix("debian:"), "container")
    for kind, words in steps:
        if kind == "RUN":
            assert root.run("sh", "-c", words, deadline=DEMO_DEADLINE).returncode == 0
        elif kind == "CMD":
            done = root.run(*json.loads(words), deadline=DEMO_DEADLINE)
            assert done.returncode == 0
            assert done.stdout.count("4 of 4") == 5


def test_the_clone_of_a_container_leaves_out_what_was_built_here() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split("\n")
    for folder in pathlib.Path(ROOT / ".gitignore").read_text().split():
        assert folder.strip("/") in ignored or f"**/{folder.strip('/')}" in ignored
