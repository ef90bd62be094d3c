# SPDX-License-Identifier: Apache-2.0
"""tools/build, with a cmake that does nothing."""

import os
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 60  # seconds; each takes milliseconds


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    """A clone in which cmake says that it began, and ends once its FIFO says so."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/build", tmp_path / "tools")
    cmake = tmp_path / "bin/cmake"
    cmake.parent.mkdir()
    cmake.write_text('#!/bin/sh\ncase $1 in --build) echo begun >&3; read word <&4 ;; esac\n')
    cmake.chmod(0o755)
    (tmp_path / "CMakePresets.json").write_text("{}")
    return tmp_path


def build(tree: pathlib.Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["tools/build", "host"], cwd=tree, text=True, capture_output=True, timeout=DEADLINE,
        check=False, env=os.environ | {"PATH": f"{tree}/bin:{os.environ['PATH']}"})


def start(tree: pathlib.Path, preset: str, said: int, go_on: int) -> subprocess.Popen[str]:
    script = f'exec 3>&{said} 4<&{go_on}; exec tools/build {preset}'
    return subprocess.Popen(
        ["bash", "-c", script], cwd=tree, text=True, stderr=subprocess.PIPE,
        pass_fds=(said, go_on), env=os.environ | {"PATH": f"{tree}/bin:{os.environ['PATH']}"})


def test_two_builds_of_one_preset_wait_for_each_other(tree: pathlib.Path) -> None:
    said_out, said_in = os.pipe()
    go_on_out, go_on_in = os.pipe()
    with start(tree, "host", said_in, go_on_out) as first:
        assert os.read(said_out, 100) == b"begun\n"
        with start(tree, "host", said_in, go_on_out) as second:
            assert second.stderr
            assert "another tools/build host is running" in second.stderr.readline()
            os.set_blocking(said_out, False)
            with pytest.raises(BlockingIOError):  # Its cmake has not begun.
                os.read(said_out, 100)
            os.set_blocking(said_out, True)
            os.write(go_on_in, b"\n\n")
            assert first.wait(DEADLINE) == 0
            assert os.read(said_out, 100) == b"begun\n"
            assert second.wait(DEADLINE) == 0


def test_upgraded_system_headers_are_precompiled_anew(tree: pathlib.Path) -> None:
    pch = tree / "build/host/CMakeFiles/headers.dir/cmake_pch.hxx.pch"
    pch.parent.mkdir(parents=True)
    pch.touch()
    (tree / "bin/cmake").write_text(f"""#!/bin/sh
        if test -f {pch}; then
          echo "error: unistd.h has been modified since the precompiled header 'x' was built"
          exit 1
        fi""")
    done = build(tree)
    assert done.returncode == 0 and not pch.exists()
    assert "precompiling them anew" in done.stderr

    (tree / "bin/cmake").write_text("#!/bin/sh\necho error: a semicolon is missing; exit 1")
    pch.touch()
    done = build(tree)
    assert done.returncode == 1 and pch.exists()
    assert "anew" not in done.stderr and "a semicolon is missing" in done.stderr


def test_presets_that_change_are_configured_anew(tree: pathlib.Path) -> None:
    said = tree / "said"
    (tree / "bin/cmake").write_text(f'#!/bin/sh\necho $* >>{said}\n! test -f broken\n')
    configure, compile_it = "--fresh --preset host\n", "--build --preset host\n"
    assert build(tree).returncode == 0 and said.read_text() == configure + compile_it
    said.unlink()
    assert build(tree).returncode == 0 and said.read_text() == compile_it
    said.unlink()
    (tree / "CMakePresets.json").write_text('{"version": 6}')
    (tree / "broken").touch()  # Nothing is built as it was configured before.
    for _ in range(2):
        assert build(tree).returncode == 1 and said.read_text() == configure
        said.unlink()
    (tree / "broken").unlink()
    assert build(tree).returncode == 0 and said.read_text() == configure + compile_it


def test_builds_of_two_presets_do_not_wait(tree: pathlib.Path) -> None:
    said_out, said_in = os.pipe()
    go_on_out, go_on_in = os.pipe()
    with start(tree, "host", said_in, go_on_out) as first, \
            start(tree, "arm64", said_in, go_on_out) as second:
        begun = b""
        while len(begun) < 2 * len(b"begun\n"):
            begun += os.read(said_out, 100)
        os.write(go_on_in, b"\n\n")
        assert (first.wait(DEADLINE), second.wait(DEADLINE)) == (0, 0)
