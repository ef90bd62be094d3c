# SPDX-License-Identifier: Apache-2.0
"""The manual, vmm(1) and vmm-run(1), as scdoc takes it.

What is said of each option is what --help says (options.py). `front` is whether `vmm` is the
front door, which can emulate a host, or the program alone.
"""

import re
from collections.abc import Iterable

from parkvmm.packages.options import (Option, doctor_options, exit_codes, front_options,
                                      run_options)

SPECIAL = re.compile(r"[\\*_]")
VERSION_OPTION = Option(("--version",), "", "", "print the version and the commit, and end")
HELP_TEXT = "print what there is to say, and end"

ABOUT = """\
*vmm* boots an AArch64 kernel under KVM and follows each kexec CPU by CPU: which phase took the \
time, and which CPUs came back. A CPU that the guest turns off, or parks in a page, is parked in \
*vmm* and uses no host CPU time."""
EMULATES = """\
Where this machine's KVM cannot run AArch64 guests, *vmm* does the same in an arm64 host that QEMU \
emulates: with the same words, files, stdin, terminal, signals and exit status. The host boots \
once, and begins in about a second once it has been saved. Its times are worth nothing unless \
*--deterministic* is given; counts and verdicts are valid."""
NEEDS = """\
It needs an arm64 machine with a usable _/dev/kvm_ and Linux 6.4 or newer. *vmm doctor* says what \
is lacking, and what to do about it."""
CACHE = """\
_$XDG\\_CACHE\\_HOME/parkvmm_, or _~/.cache/parkvmm_
\tSaved hosts, of up to 2 GiB in all, kernels that were fetched by name, and compiled Python. \
All of it may be removed at any time."""


def escaped(text: str) -> str:
    return SPECIAL.sub(lambda match: "\\" + match[0], text)


def prose(text: str) -> str:
    """Returns a text of --help as a sentence. What is in backticks becomes bold."""
    parts = text.split("`")
    line = "".join(f"*{escaped(part)}*" if number % 2 else escaped(part)
                   for number, part in enumerate(parts))
    line = line[:1].upper() + line[1:] if not text.startswith(("vCPUs", "arm64", "`")) else line
    return line if line.endswith(".") else line + "."


def entry(option: Option) -> str:
    """Returns an option with what it is for."""
    value = f" _{escaped(option.value)}_" if option.value else ""
    names = ", ".join(f"*{escaped(name)}*" for name in option.names)
    head = f"_{option.value}_" if not option.names[0].startswith("-") else names + value
    default = f" The default is {escaped(option.default)}." if option.default else ""
    return f"{head}\n\t{prose(option.text)}{default}\n"


def entries(options: Iterable[Option]) -> str:
    return "\n".join(map(entry, options))


def status() -> str:
    pairs, rest = exit_codes()
    return "\n".join(f"*{code}*\n\t{prose(text)}\n" for code, text in pairs) + f"\n{prose(rest)}\n"


def examples(*pairs: tuple[str, str]) -> str:
    return "\n".join(f"{text}\n\n```\n{command}\n```\n" for text, command in pairs)


def page(name: str, about: str, version: str, *sections: tuple[str, str]) -> str:
    head = f'{name}(1) "parkvmm {version}" "parkvmm"\n\n# NAME\n\n{name} - {about}\n'
    return head + "".join(f"\n# {title}\n\n{text.strip()}\n" for title, text in sections)


def vmm_page(version: str, front: bool) -> str:
    """Returns vmm(1)."""
    before = " [_OPTION_]..." if front else ""
    options = front_options() if front else []
    options = [option for option in options if "--help" not in option.names]
    options += [VERSION_OPTION, Option(("-h", "--help"), "", "", HELP_TEXT)]
    commands = ("*run*\n\tRun a kernel, or a command in it: see *vmm-run*(1).\n\n"
                "*doctor* [*--json*]\n\tSay what this host can do, and what to do about what it "
                "lacks; with *--json* for programs. The status is 69 if guests cannot run.\n")
    assert {name for option in doctor_options() for name in option.names} == {
        "--json", "-h", "--help"}
    sections = [
        ("SYNOPSIS", f"*vmm*{before} *run* [_OPTION_]... _KERNEL_ [-- _COMMAND_ [_ARGUMENT_]...]"
         f"\n\n*vmm*{before} *doctor* [*--json*]"),
        ("DESCRIPTION", f"{ABOUT}\n\n{EMULATES if front else NEEDS}"),
        ("COMMANDS", commands),
        ("OPTIONS", ("These stand before the command.\n\n" if front else "") + entries(options)),
        ("EXIT STATUS", status())]
    if front:
        sections.append(("FILES", CACHE))
    sections += [
        ("EXAMPLES", examples(
            ("What can this host do?", "vmm doctor"),
            ("Boot a kernel with four CPUs:",
             "vmm run -c 4 -p console=ttyAMA0 -i init.cpio path/to/Image"))),
        ("SEE ALSO", "*vmm-run*(1)\n\n_/usr/share/doc/parkvmm_, or _share/doc/parkvmm_ where it "
         "was unpacked.")]
    return page("vmm", "run AArch64 kernels under KVM and follow each kexec", version, *sections)


def run_page(version: str) -> str:
    """Returns vmm-run(1)."""
    return page(
        "vmm-run", "run an AArch64 kernel, or a command in it", version,
        ("SYNOPSIS", "*vmm run* [_OPTION_]... _KERNEL_ [-- _COMMAND_ [_ARGUMENT_]...]"),
        ("DESCRIPTION", "Boots _KERNEL_ and follows it until it ends, fails, or is late. With "
         "_COMMAND_ the guest runs that in place of its own init, and its status is the exit "
         "status. A table says what happened at each kexec, and a last line sums them up. On "
         "anything but success stderr ends with the guest's last console lines, each vCPU's PC "
         "and power state, and one sentence with a stable name in brackets.\n\n"
         "The console is stdout, and stdin is its input. ctrl-a x ends the run."),
        ("OPTIONS", entries(run_options())),
        ("EXIT STATUS", status()),
        ("EXAMPLES", examples(
            ("A command in the guest, and its status:",
             'vmm run -i my.cpio path/to/Image -- sh -c "exit 7"'),
            ("The same again in each of three next kernels:",
             "vmm run -i my.cpio --kexec 3 path/to/Image -- ./test"),
            ("What happened, for a CI runner:",
             "vmm run -i my.cpio --format junit:out.xml path/to/Image"))),
        ("SEE ALSO", "*vmm*(1)"))


def pages(version: str, front: bool) -> dict[str, str]:
    """Returns the pages by the names of their files."""
    return {"vmm.1": vmm_page(version, front), "vmm-run.1": run_page(version)}
