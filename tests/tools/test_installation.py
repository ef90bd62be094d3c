# SPDX-License-Identifier: Apache-2.0
"""What CMake installs of the arm64 build, and the Debian package that CPack makes of it."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest
from arm64_host import ROOT
from parkvmm.failure import DIFFERS, Failure
from parkvmm.packages import installation, share, sources
from parkvmm.packages.installation import BUILT

EPOCH = 1_800_000_000
is_ready = pytest.mark.skipif(
    not (BUILT / "bin/vmm").exists() or not shutil.which("scdoc"),
    reason="nothing is built, or scdoc is missing; run tools/build arm64 and tools/setup packages")


def test_a_step_that_fails_shows_its_end_and_its_log(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Failure, match="sh -c: worse; the whole log: .*/log") as caught:
        installation.quietly(["sh", "-c", "echo bad; echo worse; exit 3"], tmp_path / "log", {})
    assert caught.value.status == DIFFERS


# --- an installation -----------------------------------------------------------------

@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The front door with all that it takes, as CMake installs it."""
    folder = tmp_path_factory.mktemp("installed")
    installation.install(folder / "usr", folder / "log", {"SOURCE_DATE_EPOCH": str(EPOCH)})
    return folder / "usr"


def names_below(folder: pathlib.Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


@is_ready
def test_an_installed_tree_has_what_it_takes_and_no_more(prefix: pathlib.Path) -> None:
    tree = prefix / "lib/parkvmm"
    names = names_below(tree)
    assert {name for name in names if not name.startswith("tools/parkvmm/")} == {
        "installed.json", "bin/vmm", "bin/guest-init", "bin/host-unpack", "guest/Image",
        "guest/config", "guest/busybox", "guest/packages.json", "tools/vmm", "tools/vmm-demo",
        "tools/kernel"}
    rooms = {pathlib.PurePath(name).parts[2] for name in names if name.count("/") == 3}
    assert rooms == {"cases", "debian", "front", "guest", "host"}
    record = json.loads((tree / "installed.json").read_text())
    program = (tree / "bin/vmm").read_bytes()
    assert set(record) == {"version", "commit"}
    assert all(value.encode() + b"\0" in program for value in record.values())
    assert {(path.name, os.readlink(path)) for path in (prefix / "bin").iterdir()} == {
        (name, f"../lib/parkvmm/tools/{name}") for name in ("vmm", "vmm-demo")}
    for name in ("vmm", "guest-init", "host-unpack"):
        sections = subprocess.run(["readelf", "-S", tree / "bin" / name], capture_output=True,
                                  text=True, timeout=60, check=True).stdout
        assert ".text" in sections and ".symtab" not in sections


@is_ready
def test_without_a_component_the_program_is_installed_with_its_manual(tmp_path) -> None:
    subprocess.run(["cmake", "--install", BUILT, "--prefix", tmp_path / "usr"], check=True,
                   capture_output=True, timeout=120)
    names = names_below(tmp_path / "usr")
    assert {"bin/vmm", "share/man/man1/vmm.1.gz", "share/man/man1/vmm-run.1.gz",
            "share/doc/parkvmm/LICENSE", "share/bash-completion/completions/vmm",
            "share/zsh/site-functions/_vmm"} <= names
    assert not [name for name in names if name.startswith("lib/") or "busybox" in name]


@is_ready
def test_every_module_of_an_installed_tree_can_be_imported(prefix: pathlib.Path) -> None:
    tools = prefix / "lib/parkvmm/tools"
    modules = [str(path.relative_to(tools))[:-3].replace("/", ".")
               for path in sorted(tools.rglob("*.py"))]
    assert "parkvmm.front.demo" in modules and "parkvmm.host.emulated" in modules
    subprocess.run([sys.executable, "-B", "-c", "import " + ", ".join(modules)], check=True,
                   timeout=60, env={"PYTHONPATH": str(tools), "HOME": "/nowhere"})


@is_ready
def test_commands_work_through_their_links(prefix: pathlib.Path, tmp_path: pathlib.Path) -> None:
    for name in ("vmm", "vmm-demo"):
        done = subprocess.run([prefix / "bin" / name, "--help"], capture_output=True, text=True,
                              timeout=60, check=True, env=os.environ | {"HOME": str(tmp_path)})
        assert f"usage: {name} [OPTION]" in done.stdout and "tools/" not in done.stdout
    assert not [path for path in prefix.rglob("__pycache__")]


@is_ready
def test_all_that_is_handed_out_comes_with_its_licence_and_its_source(prefix) -> None:
    folder = prefix / "share/doc/parkvmm/third-party"
    packages = json.loads((folder / "packages.json").read_text())
    names = {package["name"] for package in packages}
    assert set(sources.LIBRARIES) < names and "busybox-static" in names
    assert any(name.startswith("linux-image-") for name in names)
    text = (folder / "README.md").read_text()
    for package in packages:
        assert (folder / f"{package['name']}.copyright").stat().st_size
        assert f"| {package['name']} | {package['version']} |" in text
    assert "GNU GENERAL PUBLIC LICENSE" in (folder / "GPL-2").read_text()
    assert (prefix / "share/doc/parkvmm/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_a_copyright_file_names_the_texts_that_it_leaves_out() -> None:
    assert sources.common_licences("see /usr/share/common-licenses/GPL-2.\n"
                                   "`/usr/share/common-licenses/LGPL-2.1'") == {"GPL-2", "LGPL-2.1"}


def test_what_has_no_licence_is_not_handed_out(tmp_path, monkeypatch) -> None:
    part = sources.Part("a", "1", (), "linked", tmp_path / "none")
    monkeypatch.setattr(sources, "linked", lambda _: [part])
    with pytest.raises(Failure, match="none is missing, without which a must not be handed out"):
        sources.contents(False, "", "gcc")


@is_ready
def test_the_manual_has_the_date_of_the_commit(monkeypatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(EPOCH))
    page = gzip.decompress(share.manual_and_completions("1", False)["man/man1/vmm.1.gz"])
    assert b"2027-01-15" in page


# --- a Debian package ----------------------------------------------------------------

@is_ready
def test_a_package_is_the_same_bytes_twice_and_debians_tools_read_it(tmp_path) -> None:
    environment = {"SOURCE_DATE_EPOCH": str(EPOCH), "LC_ALL": "C.UTF-8"}
    version = {"CPACK_PACKAGE_VERSION": "1.2.3"}
    made = [installation.make_package(version, tmp_path / name, tmp_path / "log", environment)
            for name in ("one", "other")]
    assert made[0].name == "parkvmm_1.2.3_arm64.deb"
    assert made[0].read_bytes() == made[1].read_bytes()
    listed = subprocess.run(["dpkg-deb", "--contents", made[0]], capture_output=True, text=True,
                            timeout=60, check=True).stdout.splitlines()
    names = {line.split()[5].removeprefix("./") for line in listed}
    assert {"usr/bin/vmm", "usr/share/man/man1/vmm.1.gz", "usr/share/man/man1/vmm-run.1.gz",
            "usr/share/bash-completion/completions/vmm", "usr/share/doc/parkvmm/copyright",
            "usr/share/doc/parkvmm/changelog.gz", "usr/share/zsh/vendor-completions/_vmm",
            "usr/share/fish/vendor_completions.d/vmm.fish"} <= names
    assert not [name for name in names if "lib/parkvmm" in name or name.endswith("LICENSE")]
    assert {line.split()[1] for line in listed} == {"root/root"}
    assert {line.split()[0] for line in listed} == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x"}
    assert {line.split()[3] for line in listed} == {"2027-01-15"}
    control = subprocess.run(["dpkg-deb", "--field", made[0]], capture_output=True, text=True,
                             timeout=60, check=True).stdout
    assert "Package: parkvmm\n" in control and "Version: 1.2.3\n" in control
    assert "Architecture: arm64\n" in control and "Depends:" not in control
