# SPDX-License-Identifier: Apache-2.0
"""Makes seccomp filters of vmm/sandbox/system_calls.list, as a C++ header.

    compile_filters.py --arch aarch64|x86_64 --list FILE --uapi FILE --output FILE

libseccomp writes them, here and not in the VMM: it takes longer than a small guest takes to
start. The header also has the names of all system calls, for the line that a violation ends with.
"""

import argparse
import dataclasses
import pathlib
import re
import struct
import tempfile

import seccomp  # Debian's python3-seccomp

MOST_CALLS = 512  # a number that no system call has reached
PROT_EXEC = 4
IN_A_ROW, AS_TREE = 1, 2  # libseccomp's ways to look for a call; a tree is larger
MOST_IN_A_ROW = 32
# As linux/audit.h has it, and where linux/seccomp.h has what a filter is given.
AUDIT_ARCHS = {"aarch64": 0xc00000b7, "x86_64": 0xc000003e}
CALL, ARCH = 0, 4
SECOND_ARGUMENT = 24  # the low half: an ioctl's request has 32 bits, of the 64 that are passed
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h: BPF_LD | BPF_W | BPF_ABS, ...
SECCOMP_RET_TRAP, SECCOMP_RET_ALLOW = 0x30000, 0x7fff0000
Instruction = tuple[int, int, int, int]  # code, jumps if true and if not, operand


@dataclasses.dataclass(frozen=True)
class Rule:
    call: str
    request: int | None = None  # ioctl's
    hot: bool = False
    no_bits: int | None = None  # which the third argument must lack


def requests_of(uapi: str) -> dict[str, int]:
    """Returns KVM's requests by name."""
    return {name: int(number, 16) for name, number in
            re.findall(r'\(\s*"(KVM_\w+)",\s*(0x[0-9a-f]+)\)', uapi)}


def read(text: str, requests: dict[str, int]) -> dict[str, list[Rule]]:
    """Returns the rules of each section."""
    sections: dict[str, list[Rule]] = {}
    rules: list[Rule] = []
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
            rules.append(Rule("ioctl", int(words[1], 16) if known is None else known,
                              hot="hot" in words[2:]))
        elif "noexec" in words[1:]:
            rules[:] = [rule for rule in rules if rule.call != words[0]]
            rules.append(Rule(words[0], no_bits=PROT_EXEC))
        else:
            rules.append(Rule(words[0]))
    return sections


def ioctls_of(rules: list[Rule], arch: str) -> list[Instruction]:
    """Returns what judges each ioctl, those that are hot first, and goes on to the instruction
    after it with all other calls. libseccomp would compare the requests after dozens of numbers,
    and 64 bits of each."""
    ioctls = sorted((rule for rule in rules if rule.call == "ioctl"), key=lambda rule: not rule.hot)
    if not ioctls:
        return []
    number = seccomp.resolve_syscall(seccomp.Arch(arch), "ioctl")
    return [(LOAD, 0, 0, ARCH), (EQUAL, 0, len(ioctls) + 5, AUDIT_ARCHS[arch]),
            (LOAD, 0, 0, CALL), (EQUAL, 0, len(ioctls) + 3, number),
            (LOAD, 0, 0, SECOND_ARGUMENT),
            *((EQUAL, len(ioctls) - place, 0, rule.request or 0)
              for place, rule in enumerate(ioctls)),
            (RETURN, 0, 0, SECCOMP_RET_TRAP), (RETURN, 0, 0, SECCOMP_RET_ALLOW)]


def program_of(rules: list[Rule], arch: str) -> list[Instruction]:
    """Returns BPF that traps what the rules do not allow. It is short: each thread has it loaded,
    which takes Linux about a microsecond (of virtual time) an instruction."""
    made = seccomp.SyscallFilter(seccomp.TRAP)
    if not made.exist_arch(seccomp.Arch(arch)):
        made.add_arch(seccomp.Arch(arch))
        made.remove_arch(seccomp.Arch())
    made.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    others = [rule for rule in rules if rule.call != "ioctl"]
    made.set_attr(seccomp.Attr.CTL_OPTIMIZE,
                  AS_TREE if len(others) > MOST_IN_A_ROW else IN_A_ROW)
    for rule in others:
        try:
            if rule.no_bits is None:
                made.add_rule(seccomp.ALLOW, rule.call)
            else:
                made.add_rule(seccomp.ALLOW, rule.call, seccomp.Arg(
                    2, seccomp.MASKED_EQ, rule.no_bits, 0))
        except RuntimeError:
            raise SystemExit(f"compile_filters: Linux has no system call {rule.call}") from None
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return ioctls_of(rules, arch) + [
            (code, yes, no, value) for code, yes, no, value in
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


def header_of(sections: dict[str, list[Rule]], arch: str) -> str:
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
