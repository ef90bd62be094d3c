# SPDX-License-Identifier: Apache-2.0
"""Makes seccomp filters of vmm/sandbox/system_calls.list, as a C++ header.

    compile_filters.py --arch aarch64|x86_64 --list FILE --uapi FILE --output FILE

libseccomp writes them, here and not in the VMM: it takes longer than a small guest takes to
start. The header also has the names of all system calls, for the line that a violation ends with.
"""

import argparse
import pathlib
import re
import struct
import tempfile

import seccomp  # Debian's python3-seccomp

MOST_CALLS = 512  # a number that no system call has reached
REQUEST_MASK = 0xffffffff  # An ioctl's request has 32 bits, of the 64 that are passed.
PROT_EXEC = 4
Rules = list[tuple[str, int | None]]  # a call; of ioctl the request; else bits that prot lacks


def requests_of(uapi: str) -> dict[str, int]:
    """Returns KVM's requests by name."""
    return {name: int(number, 16) for name, number in
            re.findall(r'\(\s*"(KVM_\w+)",\s*(0x[0-9a-f]+)\)', uapi)}


def read(text: str, requests: dict[str, int]) -> dict[str, Rules]:
    """Returns the rules of each section."""
    sections: dict[str, Rules] = {}
    rules: Rules = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        if found := re.fullmatch(r"\[(\w+)\]", words[0]):
            rules = sections.setdefault(found[1], [])
        elif words[0] == "include":
            rules += [rule for rule in sections[words[1]] if rule not in rules]
        elif words[0] == "ioctl":
            known = requests.get(words[1])
            rules.append(("ioctl", int(words[1], 16) if known is None else known))
        else:
            rules.append((words[0], PROT_EXEC if "noexec" in words[1:] else None))
    return sections


def program_of(rules: Rules, arch: str) -> list[tuple[int, int, int, int]]:
    """Returns BPF that traps what the rules do not allow. ioctl comes first: KVM_RUN is most of
    what a VMM asks for."""
    made = seccomp.SyscallFilter(seccomp.TRAP)
    if not made.exist_arch(seccomp.Arch(arch)):
        made.add_arch(seccomp.Arch(arch))
        made.remove_arch(seccomp.Arch())
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE, 2)  # a binary tree
    for call, value in rules:
        try:
            if value is None:
                made.add_rule(seccomp.ALLOW, call)
            elif call == "ioctl":
                made.add_rule(seccomp.ALLOW, call, seccomp.Arg(
                    1, seccomp.MASKED_EQ, REQUEST_MASK, value))
            else:
                made.add_rule(seccomp.ALLOW, call, seccomp.Arg(2, seccomp.MASKED_EQ, value, 0))
        except RuntimeError:
            raise SystemExit(f"compile_filters: Linux has no system call {call}") from None
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return [(code, yes, no, value) for code, yes, no, value in
                struct.iter_unpack("=HBBI", file.read())]


def names_of(arch: str) -> list[tuple[int, str]]:
    names = []
    for number in range(MOST_CALLS):
        try:
            name = seccomp.resolve_syscall(seccomp.Arch(arch), number)
        except ValueError:
            continue
        names.append((number, name.decode() if isinstance(name, bytes) else name))
    return names


def header_of(sections: dict[str, Rules], arch: str) -> str:
    text = ("// Made by tools/dev/compile_filters.py of vmm/sandbox/system_calls.list.\n"
            "#pragma once\n\n#include <linux/filter.h>\n\nnamespace vmm {\n\n")
    for name, rules in sections.items():
        text += f"constexpr sock_filter k{name.capitalize()}Filter[] = {{\n"
        text += "".join(f"    {{{code:#x}, {yes}, {no}, {value:#x}}},\n"
                        for code, yes, no, value in program_of(rules, arch)) + "};\n\n"
    text += "// \"NUMBER NAME\", a line each.\nconstexpr char kSystemCallNames[] =\n"
    text += "\n".join(f'    "{number} {name}\\n"' for number, name in names_of(arch))
    return text + ";\n\n}  // namespace vmm\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="compile_filters")
    parser.add_argument("--arch", choices=("aarch64", "x86_64"), required=True)
    for name in ("list", "uapi", "output"):
        parser.add_argument(f"--{name}", type=pathlib.Path, required=True)
    options = parser.parse_args()
    sections = read(options.list.read_text(), requests_of(options.uapi.read_text()))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(header_of(sections, options.arch))


if __name__ == "__main__":
    main()
