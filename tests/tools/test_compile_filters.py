# SPDX-License-Identifier: Apache-2.0
"""The filters of vmm/sandbox/system_calls.list, run as Linux would: they allow that and no more."""

import re
import sys

import pytest
import seccomp
from arm64_host import ROOT

sys.path.insert(0, str(ROOT / "tools/dev"))

import compile_filters  # noqa: E402

REQUESTS = compile_filters.requests_of((ROOT / "vmm/kvm/uapi.h").read_text())
SECTIONS = compile_filters.read((ROOT / "vmm/sandbox/system_calls.list").read_text(), REQUESTS)
ARCHS = ("aarch64", "x86_64")
KILL, TRAP, ALLOW = 0x80000000, 0x30000, 0x7fff0000
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
HIGH = 1 << 32  # of an argument, what an ioctl's request has no bits in


def answer(program: list, arch: int, number: int, arguments: dict[int, int]) -> int:
    """Returns what a program says of a call. `arguments`: those that are not 0, by their place."""
    data = {0: number, 4: arch}
    for place in range(6):
        value = arguments.get(place, 0)
        data |= {16 + 8 * place: value & 0xffffffff, 20 + 8 * place: value >> 32}
    accumulator = at = 0
    while True:
        code, yes, no, operand = program[at]
        at += 1
        if code == 0x06:  # BPF_RET
            return operand
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            accumulator = data[operand]
        elif code == 0x54:  # BPF_ALU | BPF_AND
            accumulator &= operand
        else:  # BPF_JMP: BPF_JA, BPF_JEQ, BPF_JGT, BPF_JGE
            is_so = {0x05: lambda: True, 0x15: lambda: accumulator == operand,
                     0x25: lambda: accumulator > operand,
                     0x35: lambda: accumulator >= operand}[code]()
            at += operand if code == 0x05 else yes if is_so else no


class Filter:
    def __init__(self, kind: str, arch: str) -> None:
        self.arch = arch
        self.program = compile_filters.program_of(SECTIONS[kind], arch)

    def says(self, number: int, arguments: dict[int, int] | None = None) -> int:
        return answer(self.program, compile_filters.AUDIT_ARCHS[self.arch], number,
                      arguments or {})

    def number(self, call: str) -> int:
        return seccomp.resolve_syscall(seccomp.Arch(self.arch), call)


@pytest.fixture(params=[(kind, arch) for kind in SECTIONS for arch in ARCHS],
                ids="-".join)
def made(request: pytest.FixtureRequest) -> tuple[str, Filter]:
    kind, arch = request.param
    return kind, Filter(kind, arch)


def test_a_call_is_allowed_if_it_is_listed(made: tuple[str, Filter]) -> None:
    kind, judge = made
    listed = {judge.number(rule.call) for rule in SECTIONS[kind] if rule.call != "ioctl"}
    allowed = {number for number in range(compile_filters.MOST_CALLS)
               if judge.says(number) == ALLOW}
    assert allowed == {number for number in listed if number >= 0}
    assert judge.says(judge.number("execve")) == TRAP


def test_an_ioctl_is_allowed_if_its_request_is_listed(made: tuple[str, Filter]) -> None:
    kind, judge = made
    ioctl = judge.number("ioctl")
    listed = {rule.request for rule in SECTIONS[kind] if rule.request is not None}
    known = {*REQUESTS.values(), *range(0x5400, 0x5480), *range(0xc0206600, 0xc0206680)}
    assert {request for request in known if judge.says(ioctl, {1: request}) == ALLOW} == listed
    assert judge.says(ioctl) == TRAP
    for request in listed:  # Linux looks at no more than 32 bits either.
        assert judge.says(ioctl, {1: request | HIGH}) == ALLOW


def test_what_is_hot_is_found_first() -> None:
    judge = Filter("vcpu", "aarch64")
    rows = [operand for code, _, _, operand in judge.program if code == 0x15]
    hot = [rule.request for rule in SECTIONS["vcpu"] if rule.hot]
    assert rows[2:2 + len(hot)] == hot, "after the architecture and the number of ioctl"


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize("call", ["mmap", "mprotect"])
def test_the_main_thread_and_so_all_make_no_memory_executable(call: str, arch: str) -> None:
    judge = Filter("main", arch)
    number = judge.number(call)
    assert judge.says(number, {2: PROT_READ | PROT_WRITE}) == ALLOW
    for protection in (PROT_EXEC, PROT_EXEC | PROT_READ):
        assert judge.says(number, {2: protection}) == TRAP


def test_a_call_by_another_architectures_numbers_ends_the_process(
        made: tuple[str, Filter]) -> None:
    _, judge = made
    others = set(compile_filters.AUDIT_ARCHS.values()) - {
        compile_filters.AUDIT_ARCHS[judge.arch]}
    for arch in others:
        for number in (judge.number("ioctl"), judge.number("write")):
            assert answer(judge.program, arch, number, {}) == KILL


def test_a_listed_call_that_linux_does_not_have_is_told() -> None:
    rules = compile_filters.read("[main]\nno_such_call\n", {})["main"]
    with pytest.raises(SystemExit, match=re.escape("no system call no_such_call")):
        compile_filters.program_of(rules, "aarch64")
