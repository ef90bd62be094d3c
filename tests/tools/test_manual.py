# SPDX-License-Identifier: Apache-2.0
"""The manual and the completions say what --help says, and work in their shells."""

import os
import pathlib
import re
import shutil
import subprocess

import pytest
from arm64_host import ROOT
from parkvmm.failure import Failure
from parkvmm.packages import completions, manual, options

HOST_VMM = ROOT / "build/host/bin/vmm"  # of the unit tests' build: it runs here


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(not shutil.which(program),
                              reason=f"{program} is not installed; run tools/setup packages")


# --- the options ---------------------------------------------------------------------

def helped(*words: str) -> str:
    """Returns what --help says, without white space: versions of CLI11 differ in that."""
    done = subprocess.run([HOST_VMM, *words, "--help"], capture_output=True, text=True,
                          timeout=60, check=True)
    return "".join(done.stdout.split())


@pytest.mark.skipif(not HOST_VMM.exists(), reason="run tools/build host vmm")
@pytest.mark.parametrize("words, found", [
    (("run",), options.run_options()), (("doctor",), options.doctor_options())])
def test_options_are_those_of_help(words: tuple[str, ...], found: list[options.Option]) -> None:
    text = helped(*words)
    for option in found:
        if option == options.HELP_OPTION:
            continue
        head = re.escape(",".join(option.names) + option.value)
        assert re.search(head + ".{0,16}?" + re.escape("".join(option.text.split())), text), option
    known = {name for option in found for name in option.names if name.startswith("--")}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", " ".join(
        subprocess.run([HOST_VMM, *words, "--help"], capture_output=True, text=True, timeout=60,
                       check=True).stdout.replace(",", " ").split()))) == known
    codes, rest = options.exit_codes()
    assert "".join(f"{code}{meaning};" for code, meaning in codes).replace(" ", "")[:-1] in text
    assert "".join(rest.split()) in text


def test_an_option_that_cannot_be_read_is_no_option_that_is_missing() -> None:
    good = 'x.add_option("-q,--quux", o.quux,\n "of \\"a\\"; "\n "b")->type_name("N");'
    assert options.options_in(good, "  int quux = 3;\n") == [
        options.Option(("-q", "--quux"), "N", "3", 'of "a"; b')]
    with pytest.raises(Failure, match="1 options of vmm are defined in a way"):
        options.options_in(good + "x.add_flag(Name(), o.quux, kText);", "")


@pytest.mark.parametrize("text, said", [
    ('"5m"', "5m"), ("uint64_t{1} << 30", "1G"), ("uint64_t{3} << 19", "1536K"), ("false", ""),
    ("1", "1")])
def test_a_default_is_what_a_user_would_say(text: str, said: str) -> None:
    assert options.default_of(text) == said


def test_words_that_are_listed_are_those_of_the_options() -> None:
    by_name = {option.names[-1]: option for option in options.run_options()}
    for name, words in options.WORDS.items():
        assert by_name[name].words == words
    for name in ("--firmware", "--format"):
        assert all(word in by_name[name].text for word in options.WORDS[name]), name
    source = (ROOT / "vmm/kvm/host_label.h").read_text()
    assert set(re.findall(r'kLabel\w+ =\s*"([^"]+)"', source)) == set(options.WORDS["--label"])


def test_options_of_the_front_door_are_those_it_takes() -> None:
    found = {name: option for option in options.front_options() for name in option.names}
    assert set(found) == {"-h", "--help", "--host", "--deterministic", "--host-cpus",
                          "--host-memory", "--deadline"}
    assert found["--host"].words == ("auto", "native", "emulated")
    assert not found["--deterministic"].value and found["--host-cpus"].value == "N"


# --- the manual ----------------------------------------------------------------------

@needs("scdoc")
@needs("man")
@pytest.mark.parametrize("front", [False, True])
def test_man_shows_every_option(tmp_path, front: bool) -> None:
    shown = {}
    for name, text in manual.pages("1.2.3", front).items():
        roff = subprocess.run(["scdoc"], input=text, capture_output=True, text=True, timeout=60,
                              check=True).stdout
        (tmp_path / name).write_text(roff)
        done = subprocess.run(["man", "--warnings", "-l", tmp_path / name], capture_output=True,
                              text=True, timeout=60, check=True,
                              env=os.environ | {"MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert not done.stderr
        assert "parkvmm 1.2.3" in done.stdout
        shown[name] = done.stdout
    for option in options.run_options()[1:]:
        assert f"       {', '.join(option.names)}" in shown["vmm-run.1"]
    assert ("--host auto|native|emulated" in shown["vmm.1"]) == front
    assert ("/dev/kvm" in shown["vmm.1"]) != front
    assert "CPU_OFF and CPU_ON cost besides" in shown["vmm-run.1"]
    assert "Exit as git bisect run wants it" in shown["vmm-run.1"]


# --- bash ----------------------------------------------------------------------------

COMPLETE = """\
source "$1"
shift
cd "$1"
shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_vmm
((${#COMPREPLY[@]} == 0)) || printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    for name in ("Image", "an initrd"):
        (tmp_path / "files" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "files" / name).touch()
    return tmp_path / "files"


def in_bash(folder: pathlib.Path, words: tuple[str, ...], front: bool) -> set[str]:
    script = folder.parent / "completion"
    script.write_text(completions.bash(front))
    done = subprocess.run(["bash", "--norc", "-uc", COMPLETE, "bash", script, folder, *words],
                          capture_output=True, text=True, timeout=60, check=True)
    assert not done.stderr
    return set(done.stdout.splitlines())


@pytest.mark.parametrize("words, replies", [
    (("vmm", ""), {"run", "doctor"}), (("vmm", "r"), {"run"}), (("vmm", "--v"), {"--version"}),
    (("vmm", "run", "--ps"), {"--psci"}), (("vmm", "run", "--psci", ""), {"vmm", "kvm"}),
    (("vmm", "run", "--psci", "=", "k"), {"kvm"}), (("vmm", "run", "--psci", "="), {"vmm", "kvm"}),
    (("vmm", "run", "-i", "a"), {"an initrd"}), (("vmm", "run", "I"), {"Image"}),
    (("vmm", "run", "--format", "k"), {"ktap"}),
    (("vmm", "run", "--format", "ktap", ":"), {"Image", "an initrd"}),
    (("vmm", "run", "--format", "ktap", ":", "I"), {"Image"}),
    (("vmm", "run", "--label", "kvm-on-v"), {"kvm-on-vm"}),
    (("vmm", "run", "--timeout", ""), set()), (("vmm", "run", "--raw", "Im"), {"Image"}),
    (("vmm", "run", "Image", "--", "I"), {"Image"}), (("vmm", "doctor", "--j"), {"--json"})])
def test_bash_completes(folder, words: tuple[str, ...], replies: set[str]) -> None:
    for front in (False, True):
        assert in_bash(folder, words, front) == replies


def test_bash_completes_every_option_and_those_of_the_front_door(folder) -> None:
    assert in_bash(folder, ("vmm", "run", "-"), False) == {
        name for option in options.run_options()[1:] for name in option.names} | {"--"}
    assert in_bash(folder, ("vmm", "--ho"), False) == set()
    assert in_bash(folder, ("vmm", "--ho"), True) == {"--host", "--host-cpus", "--host-memory"}
    assert in_bash(folder, ("vmm", "--host", "n"), True) == {"native"}
    assert in_bash(folder, ("vmm", "--host", "native", "run", "--ps"), True) == {"--psci"}


# --- fish and zsh --------------------------------------------------------------------

@needs("fish")
@pytest.mark.parametrize("line, replies", [
    ("vmm ", {"run", "doctor"}), ("vmm run --ps", {"--psci"}), ("vmm run --psci ", {"vmm", "kvm"}),
    ("vmm run -i I", {"Image"}), ("vmm run --raw I", {"Image"}), ("vmm I", set()),
    ("vmm --host n", {"native"}), ("vmm doctor --j", {"--json"})])
def test_fish_completes(folder, line: str, replies: set[str]) -> None:
    script = folder.parent / "vmm.fish"
    script.write_text(completions.fish(True))
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C {line!r}"],
                          capture_output=True, text=True, timeout=60, check=True, cwd=folder,
                          env=os.environ | {"HOME": str(folder.parent)})
    assert not done.stderr
    assert {reply.partition("\t")[0] for reply in done.stdout.splitlines()} == replies


@needs("zsh")
@pytest.mark.parametrize("typed, completed", [
    ("vmm ru", "vmm run "), ("vmm run --psc", "vmm run --psci="),
    ("vmm run --psci k", "vmm run --psci kvm "), ("vmm run -i I", "vmm run -i Image "),
    ("vmm --host n", "vmm --host native "), ("vmm --host native run --ps",
                                             "vmm --host native run --psci="),
    ("vmm doctor --j", "vmm doctor --json ")])
def test_zsh_completes(folder, terminals, typed: str, completed: str) -> None:
    """A terminal has zsh, which completes a line, and writes it down in place of running it."""
    (folder.parent / "_vmm").write_text(completions.zsh(True))
    (folder.parent / ".zshrc").write_text(
        f"fpath=({folder.parent} $fpath)\nautoload -Uz compinit && compinit -D -u\n"
        f"accept() {{ print -rn -- \"$BUFFER\" >{folder.parent}/line; exit }}\n"
        f"zle -N accept-line accept\ncd {folder}\nprint ready\n")
    terminal = terminals.open("env", "-i", f"PATH={os.environ['PATH']}", "TERM=dumb", "LC_ALL=C",
                              f"ZDOTDIR={folder.parent}", f"HOME={folder.parent}", "zsh", "-i")
    terminal.shows(b"ready")
    terminal.type(typed.encode() + b"\t\r")
    terminal.process.wait(60)
    assert (folder.parent / "line").read_text() == completed
