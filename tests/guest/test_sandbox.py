# SPDX-License-Identifier: Apache-2.0
"""The VMM confined: what it never does ends it, and what it may do is what it does.

Each call that vmm/sandbox/system_calls.list allows to a vCPU's thread is denied once, in a vmm that
is the same otherwise: some run below has to die of it, or nobody needs the line.
"""

import dataclasses
import re
import sys

import arm64_host
import pytest
import seccomp
from arm64_host import ROOT, Host
from payload_runs import STUB

sys.path.insert(0, str(ROOT / "tools/dev"))

import compile_filters  # noqa: E402

pytestmark = pytest.mark.xdist_group("sandbox")

FAULTY = "build/arm64/bin/vmm-faulty"
VIOLATION = 72  # vmm/sandbox/violation.h
# A thread that ends has blocked all signals, and the line about a violation is a write: of these
# the kernel ends the VMM without a line.
BY_SIGNAL = {"write", "madvise", "exit"}
BAD_SYSTEM_CALL = 128 + 31
LIST = ROOT / "vmm/sandbox/system_calls.list"
AARCH64 = seccomp.Arch("aarch64")
# A short run that makes most calls, and those that make the others.
USUAL = "park_release.bin -c 4 --park host"
OTHERS = {"ioctl KVM_SET_MP_STATE": "suspend.bin -c 2", "ioctl KVM_IRQ_LINE": "alarm.bin",
          "timerfd_settime": "alarm.bin",
          "ppoll": "park_faults.bin -c 4 -p fault=exit-misaligned --park host"}
WATCHED = "park_release.bin -c 4 --park guest"
WATCHED_OTHERS = {"ppoll": "park_faults.bin -c 4 -p fault=stale-magic --park guest",
                  "write": "park_faults.bin -c 4 -p fault=stale-magic --park guest"}


@dataclasses.dataclass(frozen=True)
class Call:
    """A line of the list."""
    kind: str
    text: str

    @property
    def name(self) -> str:
        return self.text.split()[0]

    def denied(self) -> str:
        """Returns vmm-faulty's word."""
        number = seccomp.resolve_syscall(AARCH64, self.name)
        word = f"deny:{self.kind}:{number}"
        if self.name == "ioctl":
            requests = compile_filters.requests_of((ROOT / "vmm/kvm/uapi.h").read_text())
            request = self.text.split()[1]
            word += f":{requests[request] if request in requests else int(request, 16)}"
        return word

    def run(self) -> str:
        if self.kind == "watch":
            return WATCHED_OTHERS.get(self.text, WATCHED)
        return OTHERS.get(self.text, USUAL)


def calls(kind: str) -> list[Call]:
    """Returns the calls of a section that every host's runs make."""
    section = re.search(rf"^\[{kind}\]$(.*?)(?=^\[|\Z)", LIST.read_text(),
                        re.MULTILINE | re.DOTALL)
    assert section
    lines = [line.partition("#")[0].split() for line in section[1].splitlines()]
    made = [words for words in lines if words and "rare" not in words
            and seccomp.resolve_syscall(AARCH64, words[0]) >= 0]  # AArch64 has it.
    return [Call(kind, " ".join(word for word in words if word not in ("hot", "noexec")))
            for words in made]


CALLS = [*calls("vcpu"), *calls("watch")]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[Call, str]:
    """What each run says at its end, and its status before it; all in one boot."""
    arm64_host.require()
    script = "set +e\n"
    for call in CALLS:
        script += (f"{FAULTY} {call.denied()} run --raw {STUB}/{call.run()} -m 64M --timeout 5s "
                   f">/dev/null 2>/tmp/said; echo \"$? $(tail -n 1 /tmp/said)\"\n")
    outcome = Host(tmp_path_factory.mktemp("sandbox")).script(script, files=(STUB, FAULTY),
                                                              deterministic=False)
    assert outcome.status == 0, outcome.explain()
    lines = outcome.stdout.splitlines()
    assert len(lines) == len(CALLS), outcome.explain()
    return dict(zip(CALLS, lines))


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.kind}-{call.text}")
def test_a_call_that_is_allowed_is_made(said: dict[Call, str], call: Call) -> None:
    status, _, line = said[call].partition(" ")
    if call.name in BY_SIGNAL:
        assert int(status) == BAD_SYSTEM_CALL, said[call]
        return
    assert int(status) == VIOLATION, said[call]
    thread = "park-watch" if call.kind == "watch" else r"vcpu\d"
    assert re.fullmatch(rf"vmm: error: the thread {thread} made the system call {call.name} \(\d+\)"
                        r", which it never makes; --seccomp log would let it \[sandbox-violation\]",
                        line)


def test_every_thread_is_confined_and_vcpus_twice(host: Host) -> None:
    """By the kernel's own account, and files are confined, too."""
    outcome = host.script(f"""
        set +e
        vmm doctor | grep Landlock
        vmm run --raw {STUB}/hang.bin -c 2 -m 64M --timeout 60s --park guest >/dev/null 2>&1 &
        until [ "$(grep -c '^Seccomp_filters:.2' /proc/$!/task/*/status | grep -c ':1$')" = 3 ] ||
              ! kill -0 $!; do usleep 10000; done
        for task in /proc/$!/task/*; do
          echo $(cat $task/comm) $(grep -E '^(NoNewPrivs|Seccomp)' $task/status)
        done
        kill $!
        wait $!
        true
        """, files=(STUB,), deterministic=False)
    assert outcome.status == 0, outcome.explain()
    doctor, *threads = outcome.stdout.splitlines()
    assert re.fullmatch(r"ok +Landlock +version \d", doctor)
    assert sorted(threads) == [
        f"{name} NoNewPrivs: 1 Seccomp: 2 Seccomp_filters: {filters}"
        for name, filters in (("park-watch", 2), ("vcpu0", 2), ("vcpu1", 2), ("vmm", 1))]


def test_roots_of_every_kind_are_read(host: Host) -> None:
    """libarchive, confined: it goes from folder to folder, and looks for holes."""
    outcome = host.script(f"""
        here=$PWD
        cd $(mktemp -d)
        mkdir -p root/a/b
        touch root/init
        chmod +x root/init
        ln -s ../init root/a/link
        ln root/init root/a/b/same
        mkfifo root/fifo
        dd if=/dev/null of=root/sparse bs=1 seek=1M
        tar -C root -cf root.tar .
        gzip -k root.tar
        bzip2 -k root.tar
        (cd root; find . | cpio -o -H newc) >root.cpio
        for root in root root.tar root.tar.gz root.tar.bz2 root.cpio; do
          vmm run $here/{STUB}/kexec_again.bin -m 64M -p kexecs=0 --timeout 60s --rootfs $root
        done
        """, files=(STUB,), deterministic=False)
    assert outcome.status == 0, outcome.explain()
    assert outcome.stdout.count("PASS kexec_again") == 5


def test_pipes_are_files_too(host: Host) -> None:
    """As a shell's <(...) and >(...); Landlock has no rule for them."""
    outcome = host.script(f"""
        payload={STUB}/hello.bin
        cat $payload | vmm run --raw -m 64M /dev/stdin
        for output in --results --events --dump-dtb --format=junit:; do
          case $output in *:) name=$output/dev/fd/3 ;; *) name="$output /dev/fd/3" ;; esac
          vmm run --raw -m 64M $name $payload 3>&1 >/dev/null | wc -c
        done
        """, files=(STUB,), deterministic=False)
    assert outcome.status == 0, outcome.explain()
    *console, results, events, dtb, junit = outcome.stdout.splitlines()
    assert "[stub] PASS hello" in console
    assert all(int(size) > 100 for size in (results, events, dtb, junit)), outcome.explain()
