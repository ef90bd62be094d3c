# SPDX-License-Identifier: Apache-2.0
"""What is handed to KVM does not depend on the <linux/kvm.h> that is there.

The arm64 sources are compiled against doctored copies of the kernel's headers.
"""

import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSROOT = ROOT / "build" / "sysroot" / "usr" / "include"
COMPILER = "aarch64-linux-gnu-g++"
LAYOUT = "vmm/kvm/uapi_layout.h"
NEEDS_ABSEIL = ["vmm/kvm/arm64_gic.cc", "vmm/kvm/arm64_host_report.cc",
                "vmm/kvm/arm64_reset_image.cc", "vmm/kvm/arm64_vcpu.cc", "vmm/kvm/arm64_vm.cc"]
SOURCES = [*NEEDS_ABSEIL, "vmm/kvm/vcpu_exit.cc", "tools/kvm-floor/main.cc"]
# Those that Linux 6.1.192 has behind an empty structure, which is one byte in C++.
FLEXIBLE = {"kvm_reg_list": "reg", "kvm_signal_mask": "sigset", "kvm_irq_routing": "entries",
            "kvm_coalesced_mmio_ring": "coalesced_mmio"}
HANDED_OVER = ["kvm_userspace_memory_region", "kvm_irq_level", "kvm_enable_cap",
               "kvm_create_device", "kvm_device_attr", "kvm_mp_state", "kvm_one_reg",
               "kvm_vcpu_init", "kvm_vcpu_events", "kvm_guest_debug", "kvm_guest_debug_arch"]
ONLY_OFFSETS_COUNT = ["kvm_run", "kvm_regs", "user_pt_regs", "kvm_debug_exit_arch"]


def installed_headers() -> pathlib.Path:
    """The folder from which the cross compiler takes <linux/kvm.h>."""
    if shutil.which(COMPILER) is None:
        pytest.skip(f"{COMPILER} is not here; tools/setup cross installs it")
    found = subprocess.run([COMPILER, "-M", "-x", "c", "-"], input="#include <linux/kvm.h>",
                           capture_output=True, text=True, check=True, timeout=60).stdout
    path = re.search(r"\S+/linux/kvm\.h", found)
    assert path
    return pathlib.Path(path[0]).resolve().parents[1]


@pytest.fixture
def headers(tmp_path: pathlib.Path) -> pathlib.Path:
    """Copies of the headers that a test may doctor."""
    for name in ("linux/kvm.h", "asm/kvm.h", "asm/ptrace.h"):
        copy = tmp_path / "doctored" / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text((installed_headers() / name).read_text())
    return tmp_path / "doctored"


def doctor(headers: pathlib.Path, pattern: str, replacement: str) -> int:
    """Replaces in every copied header. Returns how often."""
    total = 0
    for file in headers.rglob("*.h"):
        text, count = re.subn(pattern, replacement, file.read_text())
        file.write_text(text)
        total += count
    return total


def compile_with(headers: pathlib.Path, source: str, *options: str
                 ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMPILER, "-std=c++20", "-w", "-isystem", headers, "-isystem", SYSROOT, "-I", ".",
         *options, source], cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)


def object_code(headers: pathlib.Path, source: str) -> bytes:
    if source in NEEDS_ABSEIL and not (SYSROOT / "absl").is_dir():
        pytest.skip("build/sysroot is not here; tools/setup cross makes it")
    made = headers.parent / "made.o"
    done = compile_with(headers, source, "-c", "-o", str(made))
    assert done.returncode == 0, done.stderr
    return made.read_bytes()


def wrap_flexible_arrays(headers: pathlib.Path) -> None:
    for structure, member in FLEXIBLE.items():
        # Either plain, or by the macro, which older headers lack.
        assert doctor(
            headers,
            rf"(struct {structure} {{[^}}]*\n\t)(?:__DECLARE_FLEX_ARRAY\(([^,]*), {member}\)"
            rf"|([^;]*?) {member}\[\d*\]);",
            rf"\1struct {{ struct {{ }} empty; \2\3 {member}[]; }};") == 1


@pytest.mark.parametrize("source", SOURCES)
def test_no_number_or_flexible_array_of_the_header_is_sent(headers: pathlib.Path,
                                                           source: str) -> None:
    plain = object_code(headers, source)
    wrap_flexible_arrays(headers)
    assert doctor(headers, r"(\(KVMIO,\s*0x)", r"\g<1>7") > 100
    assert object_code(headers, source) == plain


def test_such_a_header_would_break_who_takes_its_number(headers: pathlib.Path) -> None:
    wrap_flexible_arrays(headers)
    probe = headers.parent / "probe.cc"
    probe.write_text("#include <linux/kvm.h>\nstatic_assert(KVM_GET_REG_LIST == 0xc010aeb0);\n")
    assert compile_with(headers, str(probe), "-fsyntax-only").returncode == 0


def accepts(headers: pathlib.Path) -> bool:
    done = compile_with(headers, LAYOUT, "-x", "c++", "-fsyntax-only")
    assert done.returncode == 0 or "static assertion failed" in done.stderr, done.stderr
    return done.returncode == 0


def test_headers_as_they_are_are_accepted(headers: pathlib.Path) -> None:
    assert accepts(headers)


@pytest.mark.parametrize("structure", HANDED_OVER + ONLY_OFFSETS_COUNT)
def test_a_member_that_moves_all_others_is_refused(headers: pathlib.Path,
                                                   structure: str) -> None:
    assert doctor(headers, rf"(struct {structure} {{)", r"\1 __u64 doctored;") == 1
    assert not accepts(headers)


@pytest.mark.parametrize("structure", HANDED_OVER)
def test_a_member_at_the_end_is_refused(headers: pathlib.Path, structure: str) -> None:
    assert doctor(headers, rf"(struct {structure} {{.*(?:\n[^}}\n].*)*\n)}}",
                  r"\1 __u64 doctored; }") == 1
    assert not accepts(headers)


# Each by the declarations before which there is one more.
@pytest.mark.parametrize("exit_, pattern", [
    ("mmio", r"__u64 phys_addr;\s+__u8  data"),
    ("hypercall", r"__u64 args\[6\]"),
    ("arm_nisv", "__u64 fault_ipa"),
    ("system_event", r"__u32 ndata;\s+union"),
])
def test_a_member_inside_an_exit_is_refused(headers: pathlib.Path, exit_: str,
                                            pattern: str) -> None:
    assert doctor(headers, f"({pattern})", r"__u64 doctored; \1") >= 1, exit_
    assert not accepts(headers)


def code_of(file: pathlib.Path) -> str:
    """Without comments and strings."""
    return re.sub(r'//.*|"[^"\n]*"|^#.*', "", file.read_text(), flags=re.MULTILINE)


def names_in(file: pathlib.Path) -> set[str]:
    return set(re.findall(r"\b(?:kvm_|KVM_|user_)\w+", code_of(file)))


def test_everything_that_is_taken_from_the_header_is_checked() -> None:
    """A name of the kernel's in any file has a line in uapi_layout.h."""
    kernels = {name for header in ("linux/kvm.h", "asm/kvm.h", "asm/ptrace.h")
               for name in re.findall(r"\w+", (installed_headers() / header).read_text())}
    files = [*(ROOT / "vmm" / "kvm").glob("*.[ch]*"), ROOT / "tools/kvm-floor/main.cc"]
    taken = set.union(*map(names_in, files)) & kernels
    assert {"kvm_one_reg", "KVM_EXIT_MMIO", "user_pt_regs"} <= taken
    assert sorted(taken - names_in(ROOT / LAYOUT)) == []
