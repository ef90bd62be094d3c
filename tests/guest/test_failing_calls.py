# SPDX-License-Identifier: Apache-2.0
"""Each system call of whole runs fails once, in turn, by name and index.

vmm-faulty makes one call of a run fail (tests/faulty-vmm/failing_call.h); the run is confined, so
what vmm does about it is only what its lists allow. All runs share one boot of a host, in
wall-clock time: in virtual time there are 4 s of ours in each. The runs have every kind of output,
and between them every device, both ways to park and each kind of root.
"""

import collections
import dataclasses
import errno
import os
import sys

import arm64_host
import pytest
import seccomp  # Debian's python3-seccomp
from arm64_host import ROOT, Host
from payload_runs import STUB, WALL_CLOCK

sys.path.insert(0, str(ROOT / "tools/dev"))
import compile_filters  # noqa: E402
import tried  # noqa: E402

FAULTY = "build/arm64/bin/vmm-faulty"
AARCH64 = seccomp.Arch("aarch64")
OK, VERDICT, USAGE, CPU_LOST, HOST_CANNOT, BUG, LOST, TIMEOUT = 0, 1, 2, 66, 69, 70, 74, 124
# Of one name, spread over a run; with 1, only in the first run that makes such a call.
MOST = int(os.environ.get("PARKVMM_CALLS", "1"))
DEADLINE = 1500 * MOST  # seconds

RUNS = {
    "parks": "--raw $stub/park_device.bin -c 2 --park host",
    "releases": "--raw $stub/park_release.bin -c 4 --park host",
    "is watched": "--raw $stub/park_release.bin -c 4 --park guest",
    "alarm": "--raw $stub/alarm.bin",
    "suspends": "--raw $stub/suspend.bin -c 2",
    "folder": "$stub/kexec_again.bin -p kexecs=0 --rootfs ../root --symbols ../symbols",
    "archive": "$stub/kexec_again.bin -p kexecs=0 --rootfs ../root.tar.gz --config ../config",
}

# What Linux says where it has no more of what was asked for, and where a device or a file breaks.
FAILURES = {
    "openat": [errno.EMFILE, errno.EACCES], "newfstatat": [errno.EACCES],
    "statx": [errno.EACCES], "readlinkat": [errno.EACCES], "faccessat": [errno.EACCES],
    "faccessat2": [errno.EACCES], "getcwd": [errno.ENOENT], "mkdirat": [errno.ENOSPC],
    "unlinkat": [errno.EROFS], "renameat": [errno.ENOSPC], "renameat2": [errno.ENOSPC],
    "write": [errno.EIO, errno.ENOSPC], "fallocate": [errno.ENOSPC], "lseek": [errno.ESPIPE],
    "fcntl": [errno.EMFILE], "dup": [errno.EMFILE], "dup3": [errno.EMFILE],
    "memfd_create": [errno.EMFILE], "eventfd2": [errno.EMFILE],
    "timerfd_create": [errno.EMFILE], "signalfd4": [errno.EMFILE],
    "timerfd_settime": [errno.EINVAL], "timerfd_gettime": [errno.EINVAL],
    "mmap": [errno.ENOMEM], "munmap": [errno.ENOMEM], "mprotect": [errno.ENOMEM],
    "madvise": [errno.ENOMEM], "mremap": [errno.ENOMEM], "mincore": [errno.ENOMEM],
    "sigaltstack": [errno.ENOMEM], "clone": [errno.EAGAIN], "clone3": [errno.EAGAIN],
    "ppoll": [errno.EINTR, errno.ENOMEM], "pselect6": [errno.EINTR],
    "nanosleep": [errno.EINTR], "clock_nanosleep": [errno.EINTR],
    "prctl": [errno.EINVAL], "seccomp": [errno.EINVAL],
    "landlock_create_ruleset": [errno.EOPNOTSUPP], "landlock_restrict_self": [errno.E2BIG],
    "getrandom": [errno.ENOSYS], "membarrier": [errno.ENOSYS],
    "copy_file_range": [errno.EXDEV], "clock_gettime": [errno.EINVAL],
    "clock_getres": [errno.EINVAL], "rt_sigaction": [errno.EINVAL],
    "rt_sigtimedwait": [errno.EAGAIN], "sched_getaffinity": [errno.EINVAL],
    "uname": [errno.EFAULT], "sysinfo": [errno.EFAULT], "syslog": [errno.EPERM],
    "prlimit64": [errno.EPERM],
} | dict.fromkeys(["getxattr", "lgetxattr", "fgetxattr", "llistxattr", "listxattr", "flistxattr"],
                  [errno.EOPNOTSUPP])
OF_FILES = [errno.EIO]
OF_KVM = [errno.EINVAL, errno.ENOMEM, errno.EIO]
# Linux has no error for these, or none for what a program can ask of them: tgkill() has one for
# real-time signals.
NEVER_FAIL = {"brk", "exit", "exit_group", "getegid", "geteuid", "getgid", "getpgid", "getpgrp",
              "getpid", "gettid", "getuid", "restart_syscall", "rseq", "rt_sigprocmask",
              "rt_sigreturn", "sched_yield", "set_robust_list", "set_tid_address", "tgkill",
              "umask"}
# linux/futex.h: glibc aborts where a wake fails, which Linux does not do to it.
WAITS = {0: "FUTEX_WAIT", 9: "FUTEX_WAIT_BITSET", 128: "FUTEX_WAIT_PRIVATE",
         137: "FUTEX_WAIT_BITSET_PRIVATE", 265: "FUTEX_WAIT_BITSET, of CLOCK_REALTIME",
         393: "FUTEX_WAIT_BITSET_PRIVATE, of CLOCK_REALTIME"}


@dataclasses.dataclass(frozen=True)
class Call:
    name: str
    errors: list[int]


def calls_of_a_run() -> dict[str, Call]:
    """Returns what a run may call and what may fail, by what vmm-faulty calls it: a number and, if
    its second argument matters, that."""
    requests = compile_filters.requests_of((ROOT / "vmm/kvm/uapi.h").read_text())
    of_kvm = {number: name for name, number in requests.items()}
    calls: dict[str, Call] = {}
    for rule in compile_filters.read(
            (ROOT / "vmm/sandbox/system_calls.list").read_text(), requests)["main"]:
        number = seccomp.resolve_syscall(AARCH64, rule.call)
        if number < 0 or rule.call in NEVER_FAIL:
            continue  # Not on arm64.
        if rule.call == "futex":
            calls |= {f"{number}/{wait}": Call(name, [errno.EINTR])
                      for wait, name in WAITS.items()}
        elif rule.request is not None:
            name = of_kvm.get(rule.request)
            calls[f"{number}/{rule.request}"] = (
                Call(name, OF_KVM) if name else Call(f"ioctl {rule.request:#x}", OF_FILES))
        else:
            calls[str(number)] = Call(rule.call, FAILURES.get(rule.call, OF_FILES))
    return calls


CALLS = calls_of_a_run()

SCRIPT = """
set +e
program=$PWD/PROGRAM
stub=$PWD/STUB
cd $(mktemp -d)
mkdir -p root/a/b
echo '#!/bin/sh' >root/init
chmod +x root/init
dd if=/dev/null of=root/sparse bs=1 seek=64K
ln -s ../init root/a/link
ln root/init root/a/b/same
tar -C root -czf root.tar.gz .
echo 'ffff800080000000 T _text' >symbols
echo '{}' >config
run() {  # WORD
  rm -rf out
  mkdir out
  (cd out && exec timeout -s KILL 60 $program $1 run $words -m 64M --seed 1 --timeout 20s \\
    --results results.json --events events --dump-dtb dtb --format junit:junit.xml \\
    >console 2>../said)
  status=$?
}
use() {  # NAME WORD...
  name=$1
  shift
  words=$*
  run count
  sed -n 's/^vmm-faulty: \\(.*\\) made \\(.*\\)/\\1 \\2/p' said >counts
  echo "run|$name|$status|$(grep -v ^vmm-faulty: said | tail -n 1)"
}
one() {  # CALL INDEX ERRNO
  run fail:$1:$2:$3
  ends=no
  [ "$(tail -c 2 out/results.json 2>/dev/null)" = "}" ] && ends=yes
  errors=$(grep -c '^vmm: error:' said)
  echo "point|$name|$1|$2|$3|$status|$errors|$ends|$(tail -n 1 said)"
}
tried=:
some() {  # CALL ERRNO...
  call=$1
  shift
  calls=$(sed -n "s,^$call ,,p" counts)
  [ -n "$calls" ] || return
  echo "made|$name|$call|$calls"
  case $tried in *:$call:*) [ MOST = 1 ] && return ;; esac
  tried=$tried$call:
  step=$((calls / MOST + 1))
  index=1
  while [ $index -le $calls ]; do
    for error; do one $call $index $error; done
    index=$((index + step))
  done
}
"""


@dataclasses.dataclass(frozen=True)
class Point:
    """A call that failed, and how its run ended."""
    run: str
    call: str
    index: str
    error: str
    status: int
    errors: int
    results: str
    last_line: str

    @classmethod
    def of(cls, words: list[str]) -> "Point":
        run, call, index, error, status, errors, results, *line = words
        return cls(run, call, index, error, int(status), int(errors), results, "|".join(line))

    def is_good(self) -> bool:
        """By its exit code, and a line that says why."""
        if self.status == OK:
            return self.results == "yes"
        if self.status in (USAGE, HOST_CANNOT, BUG):
            return self.errors == 1
        if self.status == LOST:  # It may be that line which is lost.
            return self.errors <= 1
        return self.status in (VERDICT, CPU_LOST, TIMEOUT)

    def __str__(self) -> str:
        return (f"{self.run}: {CALLS[self.call].name} {self.index} "
                f"{errno.errorcode[int(self.error)]}: {self.status}, {self.errors} errors, "
                f"results whole: {self.results}: {self.last_line}")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """Returns what the script said, in words: first what about."""
    arm64_host.require()
    script = SCRIPT.replace("PROGRAM", FAULTY).replace("STUB", STUB).replace("MOST", str(MOST))
    for name, words in RUNS.items():
        script += f"use '{name}' {words}\n"
        for key, call in CALLS.items():
            script += f"some {key} {' '.join(map(str, call.errors))}\n"
    outcome = Host(tmp_path_factory.mktemp("calls")).script(
        script, files=(STUB, FAULTY), deterministic=False, cpus=2, deadline=DEADLINE)
    assert outcome.status == 0, outcome.explain()
    return [line.split("|") for line in outcome.stdout.splitlines()]


pytestmark = pytest.mark.xdist_group(WALL_CLOCK)


def test_without_a_failure_the_runs_go_well_and_make_these_calls(said: list[list[str]]) -> None:
    runs = [tuple(words) for about, *words in said if about == "run"]
    assert [run[:2] for run in runs] == [(name, "0") for name in RUNS], runs
    made = {call for about, _, call, *_ in said if about == "made"}
    names = {CALLS[call].name for call in made}
    print(f"{len(made)} calls: {', '.join(sorted(names))}")
    assert {"openat", "mmap", "write", "ppoll", "eventfd2", "timerfd_settime",
            "getdents64", "fchdir", "lseek", *(f"KVM_{name}" for name in (
                "CREATE_VCPU", "RUN", "GET_ONE_REG", "SET_ONE_REG", "SET_VCPU_EVENTS",
                "SET_GUEST_DEBUG", "SET_MP_STATE", "IRQ_LINE"))} <= names
    assert names & set(WAITS.values())


def test_a_call_that_fails_ends_a_run_with_a_code_and_one_line(said: list[list[str]]) -> None:
    points = [Point.of(words) for about, *words in said if about == "point"]
    statuses = collections.Counter(str(point.status) for point in points)
    print(f"{len(points)} points, by exit status: {dict(sorted(statuses.items()))}")
    wrong = [str(point) for point in points if not point.is_good()]
    assert not wrong, "\n".join(wrong)
    tried.leave("calls", {"points": len(points), "indices": MOST, "statuses": statuses})
    assert len(points) > 80
