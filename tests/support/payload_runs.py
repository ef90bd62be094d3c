# SPDX-License-Identifier: Apache-2.0
"""Runs of guest-stub's payloads: many of them in one boot of an arm64 host."""

import dataclasses
import functools
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from arm64_host import ROOT, needs_emulation

STUB = "build/arm64/stub"
BOOT_DEADLINE = 280  # seconds for one boot; its runs take a few dozen
LAST_BEGIN = 140  # seconds before that, no further run begins
BOOTS = 3  # of one host, where one is not enough for all runs
RUN_DEADLINE = "120s"  # 512 CPUs took more than 60 s at a load of 8
HOST_TIMEOUT = 124  # of tools/arm64-host, and of our script
# Set by `tools/test soak`: payloads that go round and round do it for longer.
SOAK = bool(os.environ.get("PARKVMM_SOAK"))
# Of pytest's xdist: machines in wall-clock time take both cores, so never two.
WALL_CLOCK = "wall-clock"
KEXEC_IMAGE = 64 << 10  # guest-stub/kexec.h
MADE_OF = ("vmm", "psci-emul", "fdt", "guest-stub", "CMakeLists.txt", "CMakePresets.json")

OK, VERDICT, CPU_STUCK, RESET, TIMEOUT = 0, 1, 66, 67, 124


@dataclasses.dataclass(frozen=True)
class Run:
    """One `vmm run`, and what it has to come to."""
    payload: str
    cpus: int = 1
    params: str = ""
    status: int = OK
    psci: str = "vmm"
    park: str = ""  # the VMM's choice
    firmware: str = ""  # none
    image: bool = False  # as an arm64 Image, not as a flat binary
    next: tuple[str, ...] = ()  # payloads that it can kexec into
    timeout: str = RUN_DEADLINE
    says: str = "PASS"
    watched: bool = False  # for the memory, threads and files it takes
    clocked: bool = False  # the vCPUs' threads while all are parked
    events: bool = False  # are kept

    @property
    def name(self) -> str:
        words = [self.payload, f"{self.cpus}cpu", self.psci, *self.params.split()]
        words += [word for word in (self.park, self.firmware) if word]
        return "-".join(words + ["image"] * self.image)

    @property
    def images(self) -> str:
        return f"{STUB}/{'+'.join(self.next)}.img"

    def write_images(self) -> None:
        images = [(ROOT / STUB / f"{name}.bin").read_bytes() for name in self.next]
        assert max(map(len, images)) <= KEXEC_IMAGE
        (ROOT / self.images).write_bytes(
            b"".join(image.ljust(KEXEC_IMAGE, b"\0") for image in images))

    def command(self) -> list[str]:
        return ["vmm", "run", *([] if self.image else ["--raw"]),
                f"{STUB}/{self.payload}.bin", "-c", str(self.cpus), "-m", "64M",
                "-p", self.params, "--psci", self.psci, "--timeout", self.timeout,
                *(["--park", self.park or "host"] if self.park or self.psci == "vmm" else []),
                *(["--firmware", self.firmware] if self.firmware else []),
                *(["--initrd", self.images] if self.next else [])]

    def script(self) -> str:
        out = f"$RESULTS/{self.name}"
        watch = (f"& while kill -0 $! 2>/dev/null; do "
                 f"grep -E 'VmRSS|Threads' /proc/$!/status >>{out}.watch 2>/dev/null; "
                 f"echo files: $(ls /proc/$!/fd 2>/dev/null | wc -l) >>{out}.watch; "
                 f"usleep 10000; done; wait $!") if self.watched else ""
        clock = "".join(
            f"until grep -q '{word}' {out}.out || ! kill -0 $! 2>/dev/null; "
            f"do usleep 10000; done; cut -d' ' -f1 /proc/uptime >>{out}.clock; "
            f"grep . /proc/$!/task/*/comm /proc/$!/task/*/schedstat >>{out}.clock; "
            for word in ("] parked$", "] parked still$"))
        events = f"--events {out}.events " if self.events else ""
        return (f"echo {self.name}\n"  # a boot that hangs: in which run?
                f"begin=$(cut -d' ' -f1 /proc/uptime)\n"
                f"{shlex.join(self.command())} {events}--results {out}.json "
                f">{out}.out 2>{out}.err {watch}"
                f"{'& ' + clock + 'wait $!' if self.clocked else ''}\n"
                f"echo $? $begin $(cut -d' ' -f1 /proc/uptime) >{out}.status\n")


def rounds(usual: int, soak: int) -> str:
    """The parameter that says how often a payload goes round."""
    return f"rounds={soak if SOAK else usual}"


def by_kvm(run: Run) -> Run:
    """The same with KVM's own PSCI; fewer rounds, for that is not what we test."""
    params = re.sub(r"rounds=\d+", "rounds=20", f"{run.params} psci=kvm").strip()
    return dataclasses.replace(run, psci="kvm", params=params)


@dataclasses.dataclass(frozen=True)
class Outcome:
    status: int
    seconds: float
    console: str
    errors: str
    results: dict

    @property
    def evidence(self) -> str:
        return f"\n{self.console[-2000:]}\n{self.errors}"

    @property
    def diagnoses(self) -> set[str]:
        return {diagnosis["id"] for diagnosis in self.results["diagnoses"]}


def begun(out: pathlib.Path, runs: tuple[Run, ...]) -> int:
    """The number of the run that a host hung in: each says its name as it begins."""
    said = (out / "host.log").read_text().splitlines()
    last = [number for number, run in enumerate(runs) if run.name in said]
    return last[-1] if last else 0


@functools.cache
def sources() -> str:
    """What the VMM and the payloads are made of; nothing that compares, if it is not committed."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, text=True, capture_output=True,
                              check=True, timeout=60).stdout
    changed = git("status", "--porcelain", "--", *MADE_OF)
    return git("rev-parse", *(f"HEAD:{path}" for path in MADE_OF)) if not changed else ""


@dataclasses.dataclass(frozen=True)
class Boot:
    """A kind of host, and all that runs there at one boot."""
    name: str
    options: tuple[str, ...]
    runs: tuple[Run, ...]
    deadline: int = BOOT_DEADLINE
    kept: bool = False  # What was run to the end, of the same sources, is not run again.

    @functools.cache
    def results(self) -> pathlib.Path:
        """Makes all runs and returns where they left their files.

        Where they take longer than a boot may, another boot goes on with what is left, so
        that a slow machine fails nothing. A host that hangs comes back with nothing, and the
        next boot does without the run it hung in, which fails alone."""
        needs_emulation(self.options)
        out = ROOT / "build/reports" / self.name  # stays, to be looked at
        of = out / "sources"
        if (self.kept and self.is_whole(out) and of.exists() and sources()
                and of.read_text() == sources()):
            return out
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        for run in self.runs:
            if run.next:
                run.write_images()
        left = self.runs
        for boot in range(BOOTS):
            over = self.boot(left, out, boot)
            done = [run for run in left if (out / f"{run.name}.status").exists()]
            if not over or len(done) == len(left):
                break
            left = tuple(run for run in left if run not in done)
            if not done:
                hung = begun(out, left)
                left = (*left[:hung], *left[hung + 1:])
        if self.is_whole(out):
            of.write_text(sources())
        return out

    def is_whole(self, out: pathlib.Path) -> bool:
        """Returns whether each run has ended and left its files there."""
        return all((out / f"{run.name}.status").exists() for run in self.runs)

    def boot(self, runs: tuple[Run, ...], out: pathlib.Path, number: int) -> bool:
        """Boots the host for these runs. Returns whether its time was over before theirs."""
        # Where time is that of a clock on the wall, CPUs are to run at the same time.
        threads = () if "--deterministic" in self.options else ("--threads", "multi")
        host = subprocess.run(
            [ROOT / "tools/arm64-host", *self.options, *threads, "--out", out, "--file", STUB,
             "--timeout", f"{self.deadline}s", "--", "sh", "-c",
             "up() { cut -d. -f1 /proc/uptime; }\nstart=$(up)\n" +
             f"[ $(($(up) - start)) -lt {self.deadline - LAST_BEGIN} ] || exit {HOST_TIMEOUT}\n"
             .join(run.script() for run in runs)],
            cwd=ROOT, capture_output=True, text=True, timeout=self.deadline + 30, check=False)
        with (out / "host.log").open("a") as log:
            log.write(f"boot {number + 1}, {len(runs)} runs\n{host.stdout}{host.stderr}")
        return host.returncode == HOST_TIMEOUT

    def file(self, run: Run, kind: str) -> pathlib.Path:
        return self.results() / f"{run.name}.{kind}"

    def outcome(self, run: Run) -> Outcome:
        status_file = self.file(run, "status")
        log = self.results() / "host.log"
        assert status_file.exists(), (f"{run.name} did not end within the {self.deadline} s of "
                                      f"its host, or did not begin:\n{log.read_text()[-2000:]}")
        status, begin, end = status_file.read_text().split()
        results = self.file(run, "json")
        return Outcome(int(status), float(end) - float(begin),
                       self.file(run, "out").read_text(errors="replace"),
                       self.file(run, "err").read_text(errors="replace"),
                       json.loads(results.read_text()) if results.exists() else {})


def check(boot: Boot, run: Run) -> Outcome:
    """It said what it has to say, and ended as it should."""
    outcome = boot.outcome(run)
    print(f"{outcome.seconds:.2f} s{outcome.evidence}")
    assert f"[stub] {run.says} {run.payload}" in outcome.console, outcome.evidence
    assert outcome.status == run.status, outcome.evidence
    assert outcome.results["stop"]["exit_code"] == run.status
    return outcome
