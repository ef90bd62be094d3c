# SPDX-License-Identifier: Apache-2.0
"""Each system call of a whole run fails once, in turn, by name and index.

vmm-faulty makes one call of a run fail (tests/faulty-vmm/failing_call.h); the run is confined, so
what vmm does about it is only what its lists allow. All runs share one boot of a host, in
wall-clock time: in virtual time there are 4 s of ours in each.
"""

import collections
import errno
import os
import re
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
OK, VERDICT, USAGE, HOST_CANNOT, BUG, LOST, TIMEOUT = 0, 1, 2, 69, 70, 74, 124
MOST = int(os.environ.get("PARKVMM_CALLS", "1"))  # of one name, spread over the run
DEADLINE = 1500 * MOST  # seconds; with one call of each name it took 60

# What Linux says where it has no more of what was asked for, and where a device or a file breaks.
FAILURES = {
    "openat": [errno.EMFILE, errno.EACCES], "close": [errno.EIO], "read": [errno.EIO],
    "pread64": [errno.EIO], "readv": [errno.EIO], "write": [errno.EIO, errno.ENOSPC],
    "writev": [errno.EIO], "lseek": [errno.ESPIPE], "fstat": [errno.EIO],
    "newfstatat": [errno.EACCES], "statx": [errno.EACCES], "fstatfs": [errno.EIO],
    "getcwd": [errno.ENOENT], "readlinkat": [errno.EACCES], "faccessat": [errno.EACCES],
    "faccessat2": [errno.EACCES], "ftruncate": [errno.EIO], "fallocate": [errno.ENOSPC],
    "renameat": [errno.ENOSPC], "renameat2": [errno.ENOSPC], "unlinkat": [errno.EROFS],
    "fcntl": [errno.EMFILE], "dup": [errno.EMFILE], "dup3": [errno.EMFILE],
    "memfd_create": [errno.EMFILE], "mmap": [errno.ENOMEM], "munmap": [errno.ENOMEM],
    "mprotect": [errno.ENOMEM], "madvise": [errno.ENOMEM], "mremap": [errno.ENOMEM],
    "clone": [errno.EAGAIN], "clone3": [errno.EAGAIN], "futex": [errno.EINTR],
    "ppoll": [errno.EINTR, errno.ENOMEM], "eventfd2": [errno.EMFILE],
    "timerfd_create": [errno.EMFILE], "timerfd_settime": [errno.EINVAL],
    "signalfd4": [errno.EMFILE], "rt_sigaction": [errno.EINVAL],
    "sigaltstack": [errno.ENOMEM], "prctl": [errno.EINVAL], "seccomp": [errno.EINVAL],
    "landlock_create_ruleset": [errno.EOPNOTSUPP], "landlock_add_rule": [errno.EIO],
    "landlock_restrict_self": [errno.E2BIG], "getrandom": [errno.ENOSYS],
    "uname": [errno.EFAULT], "sysinfo": [errno.EFAULT], "syslog": [errno.EPERM],
    "prlimit64": [errno.EPERM], "sched_getaffinity": [errno.EINVAL],
    "tgkill": [errno.EAGAIN],
}
OF_KVM = [errno.EINVAL, errno.ENOMEM, errno.EIO]
REQUESTS = compile_filters.requests_of((ROOT / "vmm/kvm/uapi.h").read_text())
# By what seccomp knows them: a number, and of ioctl its request.
NAMES = {str(seccomp.resolve_syscall(AARCH64, call)): call for call in FAILURES} | {
    f"{seccomp.resolve_syscall(AARCH64, 'ioctl')}/{request}": name
    for name, request in REQUESTS.items()}

SCRIPT = """
set +e
here=$PWD
cd $(mktemp -d)
run() {  # FAILING
  rm -rf out
  mkdir out
  timeout -s KILL 60 $here/PROGRAM fail:$1 run --raw $here/STUB/park_device.bin -c 2 -m 64M \\
    --park host --seed 1 --timeout 20s --results out/results.json --events out/events \\
    --dump-dtb out/dtb --format junit:out/junit.xml >out/console 2>said
  status=$?
}
one() {  # CALL INDEX ERRNO
  run $1:$2:$3
  ends=no
  [ "$(tail -c 2 out/results.json 2>/dev/null)" = "}" ] && ends=yes
  errors=$(grep -c '^vmm: error:' said)
  echo "$1 $2 $3 $status $errors $ends $(grep -v ^vmm-faulty: said | tail -n 1)"
}
some() {  # CALL ERRNO...
  call=$1
  shift
  run $call:0:0
  calls=$(sed -n 's/^vmm-faulty: \\([0-9]*\\) calls$/\\1/p' said)
  echo "calls $call $calls $status"
  step=$((calls / MOST + 1))
  index=1
  while [ $index -le ${calls:-0} ]; do
    for error; do one $call $index $error; done
    index=$((index + step))
  done
}
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    arm64_host.require()
    script = SCRIPT.replace("PROGRAM", FAULTY).replace("STUB", STUB).replace("MOST", str(MOST))
    for number, name in NAMES.items():
        script += f"some {number} {' '.join(map(str, FAILURES.get(name, OF_KVM)))}\n"
    outcome = Host(tmp_path_factory.mktemp("calls")).script(
        script, files=(STUB, FAULTY), deterministic=False, cpus=2, deadline=DEADLINE)
    assert outcome.status == 0, outcome.explain()
    return outcome.stdout.splitlines()


pytestmark = [pytest.mark.long, pytest.mark.xdist_group(WALL_CLOCK)]


def test_a_run_without_a_failure_makes_the_calls(said: list[str]) -> None:
    counts = {}
    for line in said:
        if found := re.fullmatch(r"calls (\S+) (\d+) (\d+)", line):
            assert found[3] == "0", line
            counts[NAMES[found[1]]] = int(found[2])
    print(counts)
    assert len(counts) == len(NAMES)
    assert {"openat", "mmap", "KVM_RUN", "KVM_CREATE_VCPU", "write", "ppoll", "eventfd2"} <= {
        call for call, count in counts.items() if count}


def test_a_call_that_fails_ends_a_run_with_a_code_and_one_line(said: list[str]) -> None:
    statuses: collections.Counter[str] = collections.Counter()
    wrong = []
    points = 0
    for line in said:
        if line.startswith("calls "):
            continue
        points += 1
        call, index, error, status, errors, ends, *words = line.split(" ", 6)
        text = words[0] if words else ""
        statuses[status] += 1
        where = (f"{NAMES[call]} {index} {errno.errorcode[int(error)]}: {status}, "
                 f"{errors} errors, results whole: {ends}: {text}")
        good = int(status) in (OK, VERDICT, USAGE, HOST_CANNOT, BUG, LOST, TIMEOUT)
        if int(status) == OK:
            good = ends == "yes"
        elif int(status) in (USAGE, HOST_CANNOT, BUG):
            good = errors == "1"
        elif int(status) == LOST:  # It may be that line which is lost.
            good = errors in ("0", "1")
        if not good:
            wrong.append(where)
    print(f"{points} points, by exit status: {dict(sorted(statuses.items()))}")
    assert not wrong, "\n".join(wrong)
    tried.leave("calls", {"points": points, "indices": MOST, "statuses": statuses})
    assert points > 80
