# SPDX-License-Identifier: Apache-2.0
"""Runs the units of a plan, each once a round, and keeps what they left.

A run that is complete is not repeated as long as nothing it depends on has
changed: an interrupted plan goes on where it was.
"""

import concurrent.futures
import dataclasses
import functools
import hashlib
import os
import pathlib
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable

from parkvmm import locks
from parkvmm.bench.plan import Plan, Unit
from parkvmm.bench.processes import SIGNALS, TASK_DONE, Events, Processes
from parkvmm.failure import DEADLINE, UNAVAILABLE, Failure
from parkvmm.files import digest
from parkvmm.guest import arms
from parkvmm.guest.arms import ARMS
from parkvmm.guest.run import PARAMS, guest_deadline, host_deadline
from parkvmm.paths import BIN, IMAGE, ROOT, TOOLS

VMM = BIN / "vmm"
HOST = TOOLS / "arm64-host"
HOST_KERNEL = IMAGE
QEMU = "qemu-system-aarch64"


@dataclasses.dataclass(frozen=True)
class Run:
    unit: Unit
    round: int

    @property
    def name(self) -> str:
        return f"{self.unit.id}-{self.round}"


@dataclasses.dataclass(frozen=True)
class Clock:
    """What time is in this measurement."""
    virtual: bool  # deterministic: a busy machine changes nothing
    native: bool
    label: str = ""  # that the user insists on

    @property
    def host_options(self) -> list[str]:
        return ["--deterministic"] * self.virtual + ["--emulated"] * (not self.native)


def can_be_native() -> bool:
    return (platform.machine() in ("aarch64", "arm64") and
            os.access("/dev/kvm", os.R_OK | os.W_OK))


def files(unit: Unit) -> tuple[pathlib.Path, pathlib.Path]:
    """Returns the initramfs and the kernel."""
    arm, kernel = ARMS[unit.arm], (unit.variant, unit.kernel)
    return arm.initrd(*kernel), arm.kernel(*kernel)


def vmm_words(unit: Unit) -> list[str]:
    arm = ARMS[unit.arm]
    steps = " park.steps" if "trace" in unit.variant and not arm.stock else ""
    params = f"{PARAMS} park.cycles={unit.kexecs}{steps} {arm.params}".strip()
    park = arm.park if unit.psci == "vmm" or arm.park != "host" else "off"
    words = ["vmm", "run", "--cpus", str(unit.cpus), "--memory", unit.memory, "--seed", "1",
             "--timeout", f"{guest_deadline(unit.kexecs, unit.cpus)}s", "--arm", unit.arm,
             "--psci", unit.psci, "--park", park, "--params", params,
             "--expect-kexecs", str(unit.kexecs),
             "--results", "@RESULTS@/results.json", "--events", "@RESULTS@/events.jsonl"]
    if unit.firmware != "none":
        words += ["--firmware", unit.firmware]
    initrd, kernel = (path.relative_to(ROOT) for path in files(unit))
    return words + ["--initrd", str(initrd), str(kernel)]


def host_cpus(unit: Unit, clock: Clock) -> int:
    """Returns the host's CPUs. In wall-clock time it has no more than there are real ones."""
    if unit.host_cpus or clock.virtual:
        return unit.host_cpus or unit.cpus
    return min(unit.cpus, os.cpu_count() or 1)


def command(unit: Unit, clock: Clock, out: pathlib.Path) -> list[str]:
    # A CPU takes some memory of the host; and then there is the guest's.
    memory = "4G" if unit.cpus <= 64 else "6G"
    return [str(HOST.relative_to(ROOT)), *clock.host_options,
            "--cpus", str(host_cpus(unit, clock)), "--memory", memory, "--out", str(out),
            "--timeout", f"{host_deadline(unit.kexecs, unit.cpus)}s", "--", *vmm_words(unit),
            *(["--label", clock.label] if clock.label else [])]


@functools.cache
def emulator(clock: Clock) -> dict[str, str] | None:
    """Returns what stood in for an arm64 machine, if anything did."""
    if clock.native:
        return None
    binary = shutil.which(QEMU)
    if not binary:
        raise Failure(UNAVAILABLE, f"{QEMU} is not installed; run tools/setup emulator")
    try:
        version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True,
                                 timeout=60).stdout.splitlines()[0]
    except subprocess.SubprocessError as error:
        raise Failure(UNAVAILABLE, f"{QEMU} does not run: {error}") from None
    return {"version": version, "sha256": digest(pathlib.Path(binary)),
            "kernel_sha256": digest(HOST_KERNEL)}


def host_files() -> list[pathlib.Path]:
    """Returns the files of tools/arm64-host: the command, what it imports, and what runs
    in an emulated host."""
    package = TOOLS / "parkvmm"
    unpacker = BIN / "host-unpack"  # Not where nothing is emulated.
    return [HOST, *sorted(package.glob("*.py")), *sorted((package / "host").glob("*.py")),
            package / "host" / "init", *([unpacker] if unpacker.exists() else [])]


def key(run: Run, clock: Clock) -> str:
    """Returns a hash of everything that the run's bytes depend on."""
    parts = [shlex.join(command(run.unit, clock, pathlib.Path("out"))), str(run.round),
             str(emulator(clock))]
    parts += [digest(path) for path in (VMM, *host_files(), *files(run.unit))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def prepare(plan: Plan) -> None:
    arms.build("tools/setup", "--quiet")
    arms.build("tools/build", "arm64")
    arms.prepare({(unit.arm, unit.variant, unit.kernel) for unit in plan.units})


def order_of(plan: Plan) -> list[Run]:
    """Returns the runs round by round, each round in an order drawn from the seed."""
    draw = random.Random(plan.seed)
    runs = []
    for number in range(plan.rounds):
        runs += [Run(unit, number) for unit in draw.sample(plan.units, len(plan.units))]
    return runs


class Progress:
    """Says what runs, and how much time is left by what has run so far."""

    def __init__(self, runs: list[Run]) -> None:
        self._total = len(runs)
        self._work = sum(map(self._cost, runs))
        self._done, self._number = 0, 0
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    @staticmethod
    def _cost(run: Run) -> int:
        return (1 + run.unit.kexecs) * (4 + run.unit.cpus)

    def skip(self, run: Run) -> None:
        with self._lock:
            self._total -= 1
            self._work -= self._cost(run)

    def end(self, run: Run, text: str) -> None:
        with self._lock:
            self._number += 1
            self._done += self._cost(run)
            left = (time.monotonic() - self._begin) / self._done * (self._work - self._done)
            say(f"{self._number} of {self._total}: {run.name}: {text}"
                + (f"; about {left / 60:.0f} min left" if self._number < self._total else ""))


def say(message: str) -> None:
    print(f"bench: {message}", file=sys.stderr, flush=True)


class Runner:
    def __init__(self, plan: Plan, clock: Clock, out: pathlib.Path, jobs: int) -> None:
        self._plan, self._clock, self._jobs = plan, clock, jobs
        self._out, self._runs = out, out / "runs"
        self._stopped = threading.Event()
        self._processes = Processes()

    def folder(self, run: Run) -> pathlib.Path:
        return self._runs / run.name

    def is_done(self, run: Run) -> bool:
        stamp = self.folder(run) / "key"
        return stamp.exists() and stamp.read_text() == key(run, self._clock)

    def run(self, run: Run) -> str:
        """Runs it. Returns in words what became of it."""
        out = self.folder(run)
        out.mkdir(parents=True, exist_ok=True)
        for old in out.iterdir():
            old.unlink()
        status = self.execute(run, out)
        (out / "status").write_text(f"{status}\n")
        if status == 0:
            (out / "key").write_text(key(run, self._clock))
            return "done"
        lines = (out / "vmm.log").read_text(errors="replace").splitlines()
        return f"FAILED, exit status {status}: {lines[-1] if lines else 'nothing was said'}"

    def execute(self, run: Run, out: pathlib.Path) -> int:
        """Returns the exit status, as a shell has it."""
        deadline = host_deadline(run.unit.kexecs, run.unit.cpus) + 120
        with open(out / "console.log", "wb") as console, open(out / "vmm.log", "wb") as log:
            # It has a session of its own, so ^C does not reach it.
            with self._processes.start(command(run.unit, self._clock, out), cwd=ROOT,
                                       stdout=console, stdin=subprocess.DEVNULL,
                                       stderr=log) as process:
                try:
                    status = process.wait(deadline)
                except subprocess.TimeoutExpired:
                    self._processes.end(process)
                    log.write(f"bench: gave up after {deadline} s\n".encode())
                    status = DEADLINE
            self._processes.forget(process)
        return 128 - status if status < 0 else status

    def work(self, run: Run, progress: Progress) -> None:
        if not self._stopped.is_set():
            say(f"{run.name} begins")
            progress.end(run, self.run(run))

    def run_all(self) -> None:
        """Runs what is not done yet. Call it from the main thread.

        The first ^C lets what runs come to its end, the second ends it, as SIGTERM
        and SIGHUP do at once; then Failure.
        """
        runs = order_of(self._plan)
        progress = Progress(runs)
        todo = [run for run in runs if not self.is_done(run)]
        for run in set(runs) - set(todo):
            progress.skip(run)
        if len(todo) < len(runs):
            say(f"{len(runs) - len(todo)} of {len(runs)} runs are there already")
        with (locks.alone_in(self._out, "tools/bench"), Events() as events,
              concurrent.futures.ThreadPoolExecutor(self._jobs) as pool):
            try:
                futures = [pool.submit(self.work, run, progress) for run in todo]
                for future in futures:
                    future.add_done_callback(events.task_done)
                interrupted = self.attend(events, len(futures))
                for future in futures:
                    future.result()
            except BaseException:
                self.give_up()
                raise
        if interrupted:
            raise Failure(128 + interrupted, "interrupted; the same command goes on from here")

    def attend(self, events: Events, left: int) -> int:
        """Waits until `left` tasks are done. The first signal that came, or 0."""
        interrupted = 0
        while left:
            event = events.wait()
            if event == TASK_DONE:
                left -= 1
            elif event == signal.SIGINT and not interrupted:
                interrupted = event
                self._stopped.set()
                say("finishing what runs; ^C again gives that up")
            elif event in SIGNALS:
                interrupted = interrupted or event
                self.give_up()
        return interrupted

    def give_up(self) -> None:
        self._stopped.set()
        self._processes.end_all()

    def collect(self, read: Callable[[Unit, list[pathlib.Path]], Any]) -> list[Any]:
        """Reads what the runs left, in the order of the plan."""
        return [read(unit, [self.folder(Run(unit, number))
                            for number in range(self._plan.rounds)])
                for unit in self._plan.units]
