# SPDX-License-Identifier: Apache-2.0
"""What the commands of README.md say before they install or build anything."""

import re
import subprocess

import pytest
from arm64_host import ROOT


def said(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


@pytest.mark.parametrize("words, reason", [
    (["--cycles", "08"], "--cycles wants a number, not 08"),
    (["--cpus", "0"], "--cpus wants a number, not 0"),
    (["--kernel", "debian:7"], "'debian:7' is no kernel's name such as debian:7.3"),
    (["--kernel", "debian:7.3-tiny"], "no flavour tiny"),
    (["--kernel", "no/such/file"], "no/such/file"),
    (["--psci", "qemu"], "--psci wants vmm or kvm, not qemu"),
    (["--deterministic", "--wall-clock"], "contradict each other"),
    (["--kexecs", "3"], "unknown option --kexecs"),
])
def test_a_mistake_in_the_demos_words_is_one_line(words: list[str], reason: str) -> None:
    done = said("tools/demo", *words)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert reason in done.stderr


def test_help_and_mistakes_come_before_any_setup() -> None:
    for command in ("tools/demo", "tools/test", "tools/setup"):
        helped = said(command, "--help")
        assert (helped.returncode, helped.stderr) == (0, ""), command
    mistaken = said("tools/test", "unti")
    assert (mistaken.returncode, mistaken.stdout) == (2, "")
    assert "setup" not in mistaken.stderr


def test_setup_knows_every_part_that_its_help_names() -> None:
    parts = re.findall(r"^  (\w+)  +\S", said("tools/setup", "--help").stdout, re.MULTILINE)
    assert {"host", "fleet", "packages"} <= set(parts)
    # --help ends it before it sets anything up.
    assert said("tools/setup", *parts, "--help").returncode == 0
