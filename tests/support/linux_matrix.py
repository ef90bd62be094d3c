# SPDX-License-Identifier: Apache-2.0
"""Old kernels x next kernels on real Linux, and what becomes of the CPUs.

    tests/support/linux_matrix.py [--cycles N] [--runs LIST]

Debian's kernel and ours kexec into each other, N times for each cell, 8 CPUs,
in virtual time; prints the table of docs/parking.md. Exit status: 1 if a cell is not
as it has to be. tools/test linux-matrix builds what this needs.
"""

import argparse
import collections
import concurrent.futures
import dataclasses
import json
import pathlib
import shlex
import shutil
import subprocess
import sys

from arm64_host import PARAMS, ROOT

CPUS = 8
LOST = 66  # vmm's exit status if a kexec brought back fewer CPUs than there were
SPINNING = "cpu-on-while-spinning"
OUT = ROOT / "build/reports/linux-matrix"
GUEST = ROOT / "build/guest"
INITRAMFS = GUEST / "initramfs-matrix.cpio"
MODULE = "lib/parkvmm-stop.ko"
# In the initramfs, by the names that steps use.
KERNELS = {
    "debian": GUEST / "debian/Image",
    "ours": GUEST / "kernels/default/Image",
    "ours64k": GUEST / "kernels/64k/Image",
    "stub": ROOT / "build/arm64/stub/psci_kernel.bin",
}
MEMORY = "1G"
SECONDS_PER_KEXEC = 60  # of a busy machine

STOCK, PAGE, DEVICE, STUB = "stock Linux", "ours, page", "ours, device page", "not Linux"
COLUMNS = [STOCK, PAGE, DEVICE, STUB]
# One binary is both: told of no page, or with its eyes shut to the device.
NEXT = {
    STOCK: "debian",
    PAGE: "ours initcall_blacklist=cpu_park_device_init",
    DEVICE: "ours cpuparkmem=0",
    STUB: "stub last",
}


@dataclasses.dataclass(frozen=True)
class Row:
    title: str
    words: str
    park: str = "host"


HOTPLUG = Row("Debian's kernel: hotplug", "")
MODULE_STOP = Row("the same and our module: all at once", f"park.module=/{MODULE}")
STOP = Row("ours: all at once, CPU_OFF", "kexec_teardown=stop")
SPIN = Row("ours: park page, `guest`", "kexec_teardown=park", "guest")
PARK = Row("ours: park page, `host`", "kexec_teardown=park")
SLOT = Row("ours: device page", "kexec_teardown=park-device")
CRASH = Row("crash: panic, crash kernel with all CPUs", "park.crash crashkernel=320M")
ROWS = [HOTPLUG, MODULE_STOP, STOP, SPIN, PARK, SLOT, CRASH]


@dataclasses.dataclass(frozen=True)
class Boot:
    """What a kernel is, how it takes its CPUs (its column), and how it leaves."""
    column: str
    row: Row
    words: str = ""  # more of them
    kernel: str = ""  # in place of the column's

    @property
    def step(self) -> str:
        name, *words = NEXT[self.column].split()
        return " ".join([f"/boot/{self.kernel or name}", *words,
                         *self.row.words.split(), *self.words.split()])


@dataclasses.dataclass(frozen=True)
class Run:
    """Boots in a row, `rounds` times: the last one leads to the first."""
    name: str
    boots: tuple[Boot, ...]
    back: tuple[int, ...] = ()  # CPUs after each kexec; all, if not given
    rounds: int = 1
    named: frozenset = frozenset()  # what the VMM has to say of it
    once: bool = False  # no way back: the last boot ends the run
    park: str = "host"
    memory: str = MEMORY

    @property
    def first(self) -> Boot:
        return self.boots[0]

    @property
    def plan(self) -> tuple[Boot, ...]:
        return self.boots[1:] if self.once else (*self.boots[1:], self.boots[0])

    @property
    def kexecs(self) -> int:
        return len(self.plan) * self.rounds

    @property
    def expected(self) -> list[int]:
        return list(self.back or [CPUS] * len(self.plan)) * self.rounds

    @property
    def doors(self) -> list[tuple[str, str]]:
        """Of each kexec of a round: how CPUs leave, and how they come back."""
        pairs = zip((self.first, *self.plan), self.plan)
        return [("park" if old.row in (PARK, SLOT) else "cpu_off",
                 "release" if (old.row, new.column) in OWN_DOORS else "cpu_on")
                for old, new in pairs]

    @property
    def cells(self) -> list[tuple[Row, str]]:
        """Of each kexec of a round: who left, and who came."""
        return [(old.row, new.column)
                for old, new in zip((self.first, *self.plan), self.plan)]

    def command(self) -> list[str]:
        name, *words = self.first.step.split()
        # Its column is of no matter, and vmm does not take the word.
        words = [word for word in words if not word.startswith("cpuparkmem=")]
        params = [PARAMS, f"park.cycles={self.kexecs} park.plan=/plans/{self.name}",
                  "park.step", *words]
        return ["vmm", "run", "--cpus", str(CPUS), "--memory", self.memory, "--seed", "1",
                "--park", self.park, "--timeout", f"{self.kexecs * SECONDS_PER_KEXEC}s",
                "--params", " ".join(params), "--initrd", str(INITRAMFS.relative_to(ROOT)),
                "--results", f"@RESULTS@/{self.name}.json",
                str(KERNELS[name.removeprefix("/boot/")].relative_to(ROOT))]


OWN_DOORS = {(PARK, PAGE), (SLOT, DEVICE)}
# Every old kernel with every next one that is Linux, in one closed walk.
WALK = tuple(Boot(*step) for step in [
    (STOCK, HOTPLUG), (STOCK, MODULE_STOP), (STOCK, HOTPLUG), (PAGE, PARK), (PAGE, STOP),
    (PAGE, PARK), (DEVICE, SLOT), (DEVICE, STOP), (DEVICE, SLOT), (STOCK, MODULE_STOP),
    (PAGE, PARK), (STOCK, HOTPLUG), (DEVICE, SLOT), (PAGE, STOP), (STOCK, MODULE_STOP),
    (DEVICE, STOP)])
# Where the old kernel's loop spins in the guest, only who finds it gets a CPU.
SPIN_WALK = tuple(Boot(*step) for step in [
    (PAGE, SPIN), (PAGE, SPIN), (STOCK, HOTPLUG), (PAGE, SPIN), (DEVICE, STOP)])
SPIN_BACK = (CPUS, 1, CPUS, 1, CPUS)
WAYS = [(PAGE, STOP), (PAGE, PARK), (DEVICE, SLOT)]


def walks(rounds: int) -> list[Run]:
    """The runs that many kexecs fit in, and those of what is no cell."""
    middle = tuple(boot for column, row in WAYS
                   for boot in (Boot(column, row), Boot(column, row, "maxcpus=1")))
    pages = tuple(boot for column, row in WAYS
                  for boot in (Boot(column, row), Boot(column, row, kernel="ours64k")))
    order = tuple(Boot(column, row, "park.permute")
                  for column, row in WAYS if row != PARK)
    return [
        Run("walk", WALK, rounds=rounds),
        Run("spin", SPIN_WALK, SPIN_BACK, rounds, frozenset({SPINNING}), park="guest"),
        # As proposed, the one in the middle fills the pages of CPUs it never took.
        Run("maxcpus-1-in-the-middle", middle, (1, CPUS) * len(WAYS), rounds,
            frozenset({"page-rewritten"})),
        Run("64k-pages-after-4k", pages, rounds=rounds),
        Run("cpus-in-another-order", order, rounds=rounds),
    ]


def one_way() -> list[Run]:
    """Runs whose last kernel does not kexec: one kexec each."""
    def run(name: str, old: Boot, new: Boot, back: int = CPUS, **how) -> Run:
        return Run(name, (old, new), (back,), once=True, **how)

    no_linux = Boot(STUB, STOP)
    crash = {
        STOCK: Boot(STOCK, CRASH), PAGE: Boot(PAGE, CRASH),
        DEVICE: Boot(DEVICE, CRASH), STUB: Boot(DEVICE, CRASH)}
    refused = Boot(STUB, STOP, "expect=refused")
    return [
        run("stub-hotplug", Boot(STOCK, HOTPLUG), no_linux),
        run("stub-module", Boot(STOCK, MODULE_STOP), no_linux),
        run("stub-stop", Boot(PAGE, STOP), no_linux),
        run("stub-park", Boot(PAGE, PARK), no_linux),
        run("stub-slot", Boot(DEVICE, SLOT), no_linux),
        run("stub-spin", Boot(PAGE, SPIN), refused, 1, park="guest",
            named=frozenset({SPINNING})),
        *(run(f"crash-{number}", old, Boot(column, STOP), memory="2G")
          for number, (column, old) in enumerate(crash.items())),
        run("crash-nr-cpus-1", crash[STOCK], Boot(STOCK, HOTPLUG, "nr_cpus=1"), 1,
            memory="2G"),
    ]


def complaint(run: Run, results: pathlib.Path, name: str) -> str:
    """Empty if all came about as it has to be."""
    try:
        found = json.loads((results / f"{name}.json").read_text())
    except OSError:
        return "no results: " + tail(results / f"{name}.err")
    back = [kexec["cpus_back"] for kexec in found["kexecs"]]
    if back != run.expected:
        return f"CPUs back: {back} of {run.kexecs} kexecs: " + tail(results / f"{name}.err")
    if run.name == "walk":
        for kexec, doors in zip(found["kexecs"], run.doors * run.rounds):
            if any(kexec["doors"][door] != CPUS - 1 for door in doors):
                return f"not by {' and '.join(doors)}: {kexec['doors']}"
    # Told to lose CPUs, it has to say that it did.
    loses = run.first.row != CRASH and any(
        kexec["cpus"] > kexec["cpus_back"] for kexec in found["kexecs"])
    if found["stop"]["exit_code"] != (LOST if loses else 0):
        return str(found["stop"])
    named = {diagnosis["id"] for diagnosis in found["diagnoses"]}
    if named != run.named:
        return f"diagnoses: {', '.join(named) or 'none'}"
    return ""


def tail(log: pathlib.Path) -> str:
    return log.read_text(errors="replace")[-1500:] if log.exists() else "nothing was said"


def boot_host(name: str, runs: list[tuple[Run, int]]) -> list[tuple[Run, int, str]]:
    """All runs, each so many times, in one arm64 host."""
    out = OUT / name
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    script, files, seconds = [], {str(INITRAMFS.relative_to(ROOT))}, 120
    for run, times in runs:
        files.add(run.command()[-1])
        seconds += run.kexecs * times * SECONDS_PER_KEXEC
        for time in range(times):
            command = [word.replace(f"/{run.name}.json", f"/{run.name}-{time}.json")
                       for word in run.command()]
            log = f"$RESULTS/{run.name}-{time}"
            words = shlex.join(command).replace("@RESULTS@", "$RESULTS")
            script.append(f"echo {run.name} {time}; {words} >{log}.out 2>{log}.err || true\n")
    command = ["tools/arm64-host", "--deterministic", "--cpus", str(CPUS), "--memory", "6G",
               "--out", str(out), "--timeout", f"{seconds}s"]
    for file in sorted(files):
        command += ["--file", file]
    done = subprocess.run([*command, "--", "sh", "-c", "".join(script)], cwd=ROOT, text=True,
                          capture_output=True, timeout=seconds + 120, check=False,
                          stdin=subprocess.DEVNULL)
    (out / "host.log").write_text(done.stdout + done.stderr)
    return [(run, times, next(filter(None, (
        complaint(run, out, f"{run.name}-{time}") for time in range(times))), ""))
            for run, times in runs]


def prepare(runs: list[Run]) -> None:
    """The initramfs: every kernel, the module, and every run's plan."""
    plans = GUEST / "plans"
    shutil.rmtree(plans, ignore_errors=True)
    plans.mkdir(parents=True)
    words = ["tools/guest-image", "--no-kernel", "--output", str(INITRAMFS),
             "--module", str(GUEST / pathlib.Path(MODULE).name)]
    for name, path in KERNELS.items():
        words += ["--add", f"{path}:/boot/{name}"]
    for run in runs:
        (plans / run.name).write_text("".join(f"{boot.step}\n" for boot in run.plan))
        words += ["--add", f"{plans / run.name}:/plans/{run.name}"]
    subprocess.run(words, cwd=ROOT, check=True, timeout=120)


def outcomes(cycles: int, names: list[str]) -> list[tuple[Run, int, str]]:
    half = -(-cycles // 2)
    # The long walk is in two halves, for two cores.
    long, *others = walks(cycles)
    halves = [dataclasses.replace(long, rounds=half),
              dataclasses.replace(long, rounds=cycles - half)]
    single = [(run, cycles) for run in one_way()]
    prepare([long, *others, *one_way()])
    hosts = {"walk-1": [(halves[0], 1)],
             "others": [(run, 1) for run in others],
             "walk-2": [(halves[1], 1)] if halves[1].rounds else [],
             "one-way": single}
    hosts = {name: [(run, times) for run, times in runs if not names or run.name in names]
             for name, runs in hosts.items()}
    hosts = {name: runs for name, runs in hosts.items() if runs}
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        done = pool.map(lambda host: boot_host(*host), hosts.items())
        return [outcome for host in done for outcome in host]


def main() -> int:
    parser = argparse.ArgumentParser(description="Prints the table of docs/parking.md.")
    parser.add_argument("--cycles", type=int, default=20, metavar="N")
    parser.add_argument("--runs", type=lambda text: text.split(","), default=[],
                        metavar="LIST", help="these alone; their cells are not all")
    options = parser.parse_args()
    seen: dict = collections.Counter()
    bad: set = set()
    loses: set = set()
    others = []
    for run, times, wrong in outcomes(options.cycles, options.runs):
        if wrong:
            print(f"{run.name}: {wrong}", file=sys.stderr)
        for number, cell in enumerate(run.cells):
            if run.expected[number] == CPUS:
                seen[cell] += run.rounds * times
            else:
                loses.add(cell)
            if wrong:
                bad.add(cell)
        others.append(f"{run.name}: {'FAILED' if wrong else 'as it has to be'}, "
                      f"{run.kexecs * times} kexecs")
    print("| old kernel \\ next | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 1) + "|")
    for row in ROWS:
        texts = [("FAILED" if (row, column) in bad else
                  f"`{SPINNING}`" if (row, column) in loses and row == SPIN else
                  f"{seen[row, column]} x all back") for column in COLUMNS]
        print(f"| {row.title} | " + " | ".join(texts) + " |")
    print("\n".join(["", *others]))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
