# SPDX-License-Identifier: Apache-2.0
"""Runs a unit of a soak, and judges it."""

import dataclasses
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
from typing import Any

from parkvmm import documents, outputs
from parkvmm.bench import runner
from parkvmm.bench.plan import Unit as BenchUnit
from parkvmm.bench.vmm_guests import KEXECS, PROBE
from parkvmm.cases.cases import Suite, suite_of_folder
from parkvmm.failure import Failure
from parkvmm.guest.run import host_deadline
from parkvmm.paths import GUEST, ROOT
from parkvmm.soak.plan import STUB, Unit

IMAGE = str((GUEST / "soak.img").relative_to(ROOT))  # what the stub kexecs into
IMAGE_BYTES = 64 << 10  # guest-stub/kexec.h
STUB_MIB, LINUX_MIB = 64, 1024
GRACE = 120  # seconds for tools/arm64-host to end by itself
# What the VMM holds may grow by so much: results keep a record of each kexec.
SLACK = {"own_bytes": 1 << 20, "threads": 0, "files": 0}


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came of a unit."""
    unit: Unit
    status: int
    kexecs: int = 0  # that came up
    cpus_lost: int = 0
    held: dict[str, list[int]] = dataclasses.field(default_factory=dict)  # early, late
    wrong: str = ""  # in a line

    def document(self, key: str) -> dict[str, Any]:
        return {"key": key, **dataclasses.asdict(self)}


def write_image() -> None:
    """Writes what the stub kexecs into: itself, in an initrd."""
    (ROOT / IMAGE).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / IMAGE).write_bytes((ROOT / KEXECS).read_bytes().ljust(IMAGE_BYTES, b"\0"))


def stub_words(unit: Unit) -> list[str]:
    return ["vmm", "run", "--raw", KEXECS, "--initrd", IMAGE, "--cpus", str(unit.cpus),
            "--memory", f"{STUB_MIB}M", "--seed", str(unit.seed), "--park", unit.park,
            "--firmware", unit.firmware, "--arm", STUB, "--expect-kexecs", str(unit.kexecs),
            "--timeout", f"{60 + 10 * unit.kexecs}s", "--params", f"kexecs={unit.kexecs}",
            "--results", "@RESULTS@/results.json"]


def linux_words(unit: Unit) -> list[str]:
    words = runner.vmm_words(BenchUnit(
        arm=unit.arm, cpus=unit.cpus, host_cpus=0, firmware=unit.firmware, psci="vmm",
        variant="default", kernel="", memory=f"{LINUX_MIB}M", cycles=unit.kexecs, warmup=0))
    words[words.index("--seed") + 1] = str(unit.seed)
    at = words.index("--events")
    return words[:at] + words[at + 2:]


def command(unit: Unit, out: pathlib.Path) -> list[str]:
    """Returns the call of tools/arm64-host."""
    is_stub = unit.arm == STUB
    words = stub_words(unit) if is_stub else linux_words(unit)
    words += ["--idle-states"] * unit.idle_states
    words += ["--events", "@RESULTS@/events.jsonl"] * unit.events
    return ["tools/arm64-host", "--deterministic", "--cpus", str(max(unit.cpus, 2)),
            *unit.machine, "--out", str(out), "--timeout",
            f"{host_deadline(unit.kexecs, unit.cpus)}s", "--file", PROBE, "--", "sh", PROBE,
            "watch", unit.name, str(STUB_MIB if is_stub else LINUX_MIB), *words]


def held(said: str) -> dict[str, list[int]]:
    """Returns what the VMM held early and late in a run, of each kind: while its machine was
    there, whose threads it then has. Afterwards it has the text of its results in memory."""
    samples = re.findall(r"^\[probe\] \w+ own_bytes (\d+)\n\[probe\] \w+ threads (\d+)\n"
                         r"\[probe\] \w+ files (\d+)$", said, re.M)
    rows = [dict(zip(SLACK, map(int, sample))) for sample in samples]
    if not rows:
        return {}
    early = rows[len(rows) // 4]
    late = [row for row in rows if row["threads"] >= early["threads"]][-1]
    return {what: [early[what], late[what]] for what in SLACK}


def judged(unit: Unit, status: int, results: dict[str, Any], said: str, last: str) -> Outcome:
    """Returns what came of a unit: its exit status, its results, what the probe said, and the
    VMM's last line."""
    kexecs = [kexec for kexec in results["kexecs"] if kexec["cpus_back"]]
    lost = sum(kexec["cpus"] - kexec["cpus_back"] for kexec in results["kexecs"])
    samples = held(said)
    grown = [f"{what} grew from {early} to {late}" for what, (early, late) in samples.items()
             if late > early + SLACK[what]]
    wrong = last if status else ""
    if not wrong and len(kexecs) != unit.kexecs:
        wrong = f"{len(kexecs)} of {unit.kexecs} kexecs came up"
    if not wrong and lost:
        wrong = f"{lost} CPUs were lost"
    if not wrong and results["lost_events"]:
        wrong = f"{results['lost_events']} events were lost"
    if not wrong and grown:
        wrong = grown[0]
    return Outcome(unit, status, len(kexecs), lost, samples, wrong)


def last_line(path: pathlib.Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    return lines[-1] if lines else "nothing was said"


def run(unit: Unit, folder: pathlib.Path) -> Outcome:
    """Runs a unit, whose files go to a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    deadline = host_deadline(unit.kexecs, unit.cpus) + GRACE
    # It is asked to end if we are killed, too.
    words = ["setpriv", "--pdeathsig", "TERM", *command(unit, folder)]
    with (open(folder / "host.out", "wb") as out, open(folder / "host.err", "wb") as err,
          subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                           start_new_session=True) as process):
        try:
            status = process.wait(deadline)
        except BaseException:  # It removes its own files, if it is asked to end.
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise
    status = 128 - status if status < 0 else status
    try:
        results = documents.load(folder / "results.json")
        said = (folder / "host.out").read_text(errors="replace")
        return judged(unit, status, results, said, last_line(folder / "vmm.log"))
    except (OSError, Failure, KeyError, TypeError):
        return Outcome(unit, status or 1, wrong=f"no results: {last_line(folder / 'host.err')}")


def kept(path: pathlib.Path, unit: Unit, key: str) -> Outcome | None:
    """Returns what came of a unit in an earlier call, if it is the same unit of the same code."""
    try:
        document = json.loads(path.read_text())
        if document.pop("key") != key:
            return None
        fields = document.pop("unit")
        fields["machine"] = tuple(fields["machine"])
        outcome = Outcome(Unit(**fields), **document)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return outcome if outcome.unit == unit and not outcome.wrong else None


def keep(path: pathlib.Path, outcome: Outcome, key: str) -> None:
    outputs.write(str(path), (json.dumps(outcome.document(key), indent=1) + "\n").encode())


def suite(outcome: Outcome, folder: pathlib.Path) -> Suite:
    return suite_of_folder(f"{outcome.unit.name} {outcome.unit.arm}", folder, outcome.status)
