# SPDX-License-Identifier: Apache-2.0
"""The payloads of guest-stub/ in the real VMM on real KVM.

All runs of one kind of host share one boot of it; each test looks at one run.
"""

import dataclasses
import functools
import json
import pathlib
import shlex
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
STUB = "build/arm64/stub"
BOOT_DEADLINE = 240  # seconds for all runs of one boot; they take a few dozen
RUN_DEADLINE = "60s"

pytestmark = pytest.mark.skipif(
    not (ROOT / STUB / "hello.bin").exists()
    or not (ROOT / "build/guest/debian/Image").exists()
    or not shutil.which("qemu-system-aarch64"), reason="run tools/setup and tools/build arm64")

OK, VERDICT, BOOT_TIMEOUT, CPU_STUCK, RESET = 0, 1, 65, 66, 67


@dataclasses.dataclass(frozen=True)
class Run:
    """One `vmm run`, and what it has to come to."""
    payload: str
    cpus: int = 1
    params: str = ""
    status: int = OK
    psci: str = "vmm"
    image: bool = False  # as an arm64 Image, not as a flat binary
    timeout: str = RUN_DEADLINE
    options: tuple[str, ...] = ()
    says: str = "PASS"

    @property
    def name(self) -> str:
        words = [self.payload, f"{self.cpus}cpu", *self.params.split(), self.psci]
        return "-".join(words + ["image"] * self.image)

    def script(self) -> str:
        out = f"$RESULTS/{self.name}"
        words = ["vmm", "run", *([] if self.image else ["--raw"]),
                 f"{STUB}/{self.payload}.bin", "-c", str(self.cpus), "-m", "64M",
                 "-p", self.params, "--psci", self.psci, "--timeout", self.timeout]
        return (f"begin=$(cut -d' ' -f1 /proc/uptime)\n"
                f"{shlex.join(words)} {' '.join(self.options)} --results {out}.json "
                f">{out}.out 2>{out}.err\n"
                f"echo $? $begin $(cut -d' ' -f1 /proc/uptime) >{out}.status\n")


ENDS = [
    Run("hello"),
    Run("hello", cpus=4),
    Run("hello", cpus=4, image=True),
    Run("hello", cpus=20),
    Run("verdict_fail", status=VERDICT, says="FAIL"),
    Run("system_off"),
    Run("system_reset", status=RESET),
    Run("system_reset2", status=RESET),
    Run("system_reset2", params="smc32", status=RESET),
    Run("system_reset2", params="warm", status=RESET),
    Run("all_off", cpus=4, status=CPU_STUCK),
    Run("hang", status=BOOT_TIMEOUT, timeout="2s"),
]
# What the specification alone decides, KVM's PSCI has to pass as well.
SPECIFIED = [
    Run("hello", cpus=4, psci="kvm"),
    Run("system_off", psci="kvm"),
    Run("system_reset", status=RESET, psci="kvm"),
    Run("system_reset2", status=RESET, psci="kvm"),
]

BOOTS = {
    "gicv3": ([], ENDS + SPECIFIED),
}


@functools.cache
def results_of(boot: str) -> pathlib.Path:
    """Where the runs of this boot left their files."""
    options, runs = BOOTS[boot]
    out = ROOT / "build/reports" / f"payloads-{boot}"  # kept, to be looked at
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    host = subprocess.run(
        [ROOT / "tools/arm64-host", *options, "--out", out, "--file", STUB,
         "--timeout", f"{BOOT_DEADLINE}s", "--", "sh", "-c",
         "".join(run.script() for run in runs)],
        cwd=ROOT, capture_output=True, text=True, timeout=BOOT_DEADLINE + 30, check=False)
    (out / "host.log").write_text(host.stdout + host.stderr)
    return out


@dataclasses.dataclass(frozen=True)
class Outcome:
    status: int
    seconds: float
    console: str
    errors: str
    results: dict

    @staticmethod
    def of(boot: str, run: Run) -> "Outcome":
        out = results_of(boot)
        status_file = out / f"{run.name}.status"
        assert status_file.exists(), (out / "host.log").read_text()[-2000:]
        status, begin, end = status_file.read_text().split()
        results = out / f"{run.name}.json"
        return Outcome(int(status), float(end) - float(begin),
                       (out / f"{run.name}.out").read_text(errors="replace"),
                       (out / f"{run.name}.err").read_text(errors="replace"),
                       json.loads(results.read_text()) if results.exists() else {})


ALL = [pytest.param(boot, run, id=f"{boot}-{run.name}")
       for boot, (_, runs) in BOOTS.items() for run in runs]


@pytest.mark.parametrize("boot, run", ALL)
def test_payload(boot: str, run: Run) -> None:
    outcome = Outcome.of(boot, run)
    evidence = f"\n{outcome.console[-2000:]}\n{outcome.errors}"
    print(f"{outcome.seconds:.2f} s{evidence}")
    assert f"[stub] {run.says} {run.payload}" in outcome.console, evidence
    assert outcome.status == run.status, evidence
    assert outcome.results["stop"]["exit_code"] == run.status


def stop_of(payload: str, **keywords) -> dict:
    return Outcome.of("gicv3", Run(payload, **keywords)).results["stop"]


def test_reset2_arrives_with_type_and_cookie() -> None:
    assert stop_of("system_reset2")["reset2"] == {
        "type": 0x80000123, "cookie": 0x123456789abcdef0}


def test_reset2_of_smc32_has_no_upper_halves() -> None:
    assert stop_of("system_reset2", params="smc32")["reset2"] == {
        "type": 0x80000123, "cookie": 0x9abcdef0}


def test_warm_reset2_is_told_from_a_vendors() -> None:
    assert stop_of("system_reset2", params="warm")["reset2"]["type"] == 0


def test_plain_reset_is_no_reset2() -> None:
    assert "reset2" not in stop_of("system_reset")


def test_failure_names_file_and_line() -> None:
    outcome = Outcome.of("gicv3", Run("verdict_fail"))
    line = outcome.results["stop"]["guest_verdict"]["value"]
    assert f"[stub] FAIL verdict_fail verdict_fail.cc:{line} as it should" in outcome.console


def test_last_cpu_off_is_named() -> None:
    outcome = Outcome.of("gicv3", Run("all_off", cpus=4))
    assert outcome.results["diagnoses"][0]["id"] == "all-cpus-off"
