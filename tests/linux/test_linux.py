# SPDX-License-Identifier: Apache-2.0
"""Debian's unmodified kernel as a guest: boot, kexec, and every way to end."""

import functools
import itertools
import json
import re
import subprocess

import pytest
from arm64_host import IMAGE, INITRAMFS, PARAMS, ROOT, Host, Outcome
from parkvmm.bench import results

OK, FAILED, USAGE, PANIC = 0, 1, 2, 64
RESET, CANNOT, SKIPPED, TIMEOUT = 67, 69, 77, 124
long = functools.partial(pytest.param, marks=pytest.mark.long)
PHASES = ("prepare", "down", "jump", "early", "up", "userspace")


def assert_kexecs(outcome: Outcome, cycles: int, cpus: int) -> None:
    """Every kexec came up with every CPU, as the guest read it."""
    assert outcome.status == OK, outcome.explain()
    kexecs = outcome.json()["kexecs"]
    assert [(k["cpus"], k["cpus_back"], k["verdict"]) for k in kexecs] == [
        (cpus, cpus, "pass")] * cycles
    for kexec in kexecs:
        seen = {name: ns for name, ns in kexec["phase_ns"].items() if ns is not None}
        # Of two CPUs, the first to leave is the last.
        assert set(PHASES) - set(seen) == ({"prepare"} if cpus == 2 else set())
        assert sum(seen.values()) == kexec["total_ns"]
        assert kexec["teardown_ns"] == seen.get("prepare", 0) + seen["down"]


@pytest.mark.long
def test_demo_shows_three_kexecs_in_wall_clock_time(tmp_path) -> None:
    results = tmp_path / "results.json"
    demo = subprocess.run(
        ["tools/demo", "--wall-clock", "--json", str(results), "--out", str(tmp_path / "out")],
        cwd=ROOT, text=True, capture_output=True, timeout=600, check=False)
    outcome = Outcome(demo.returncode, demo.stdout, demo.stderr, tmp_path)
    assert_kexecs(outcome, cycles=3, cpus=4)
    assert outcome.stderr.count("4 of 4") == 5, "the first boot, three kexecs, and their sum"
    assert "\nparkvmm: 3 of 3 kexecs, 4 of 4 CPUs back each time" in outcome.stderr
    assert outcome.json()["label"] in ("kvm", "kvm-on-vm", "kvm-on-tcg")


def test_b3_all_of_a_pipe_reaches_a_shell(tmp_path) -> None:
    init = tmp_path / "init"
    init.write_text('#!/bin/sh\nsh\necho "status $?"\n/bin/busybox poweroff -f\n')
    init.chmod(0o755)
    initrd = tmp_path / "initrd"
    subprocess.run(["tools/guest-image", "--no-kernel", "--init", init, "--output", initrd],
                   cwd=ROOT, check=True, timeout=60)
    # More than the device's queue holds.
    lines = "".join(f"echo line $((1000+{number}))\n" for number in range(100))
    done = subprocess.run(
        ["tools/vmm", "run", "--timeout", "120s", "-p", PARAMS, "-i", initrd, IMAGE],
        cwd=ROOT, text=True, input=lines + "exit 3\n", capture_output=True, timeout=280,
        check=False)
    assert done.returncode == OK, done.stdout + done.stderr
    answers = [line.strip() for line in done.stdout.splitlines()]
    assert [line for line in answers if line.startswith("line 1")] == [
        f"line {1000 + number}" for number in range(100)]
    assert "status 3" in answers


def test_two_deterministic_demos_are_the_same_bytes(tmp_path) -> None:
    for name in ("first", "second"):
        out = tmp_path / name
        demo = subprocess.run(["tools/demo", "--deterministic", "--cycles", "1", "--out", out],
                              cwd=ROOT, text=True, capture_output=True, timeout=600, check=False)
        outcome = Outcome(demo.returncode, demo.stdout, demo.stderr, out)
        assert_kexecs(outcome, cycles=1, cpus=4)
        assert outcome.json()["label"] == "kvm-on-tcg-icount"
    for name in ("results.json", "events.jsonl", "console.log"):
        assert (tmp_path / "first" / name).read_bytes() == (
            tmp_path / "second" / name).read_bytes(), name


@pytest.mark.long
def test_twenty_cpus_boot_and_their_affinities_are_kvms(host: Host) -> None:
    outcome = host.linux("--cpus", "20")
    assert outcome.status == OK, outcome.explain()
    boot = outcome.json()["boots"][0]
    assert (boot["cpus"], boot["cpus_back"]) == (20, 20)
    assert boot["per_cpu"][-1]["mpidr"] == "0x103"


def test_slow_firmware_is_a_share_of_its_own(host: Host) -> None:
    """What lies between CPU_ON and the first instruction is ours and the
    modelled firmware's, and nobody else's; the same for CPU_OFF."""
    outcome = host.linux("--cpus", "4", "--firmware", "kunpeng920,off=5ms",
                         params="park.cycles=1")
    assert_kexecs(outcome, cycles=1, cpus=4)
    results.check(outcome.json(), "it")  # against its schema
    kexec, = outcome.json()["kexecs"]
    events = outcome.events()

    def last(kind: str, vcpu: int, call: str = "") -> int:
        return max(event["ns"] for event in events
                   if event["event"] == kind and event.get("call", "") == call
                   and (int(event["target"], 16) if call == "CPU_ON"
                        else event["vcpu"]) == vcpu)

    for cpu in kexec["per_cpu"]:
        vcpu = cpu["vcpu"]
        assert cpu["vmm_off_ns"] + cpu["firmware_off_ns"] == (
            last("off", vcpu) - last("psci", vcpu, "CPU_OFF"))
        assert cpu["vmm_on_ns"] + cpu["firmware_on_ns"] == (
            last("start", vcpu) - last("psci", vcpu, "CPU_ON"))
        assert 5_000_000 <= cpu["firmware_off_ns"] < 5_200_000
        assert 38_000_000 <= cpu["firmware_on_ns"] < 38_200_000
        assert cpu["vmm_off_ns"] < 100_000 and cpu["vmm_on_ns"] < 200_000
    assert kexec["phase_ns"]["up"] > 3 * 38_000_000


@pytest.mark.long
@pytest.mark.parametrize("options, gic, mode", [
    (("--gic", "2"), 2, "VHE"),
    (("--cpu-model", "cortex-a72"), 3, "nVHE"),
], ids=["gicv2", "nvhe"])
def test_other_hosts(host: Host, options, gic, mode) -> None:
    outcome = host.linux("--cpus", "4", params="park.cycles=1",
                         options=options)
    assert_kexecs(outcome, cycles=1, cpus=4)
    assert outcome.json()["guest"]["gic"] == gic
    assert outcome.json()["host"]["mode"] == mode


@pytest.mark.long
def test_kvms_own_psci_works_and_the_table_says_what_differs(
        host: Host) -> None:
    outcome = host.linux("--cpus", "4", "--psci", "kvm",
                         params="park.cycles=1")
    assert outcome.status == OK, outcome.explain()
    kexec = outcome.json()["kexecs"][0]
    assert (kexec["cpus_back"], kexec["verdict"]) == (4, "pass")
    assert all(kexec["phase_ns"][name] is None for name in PHASES)
    assert kexec["total_ns"] > 0
    assert "PSCI was answered by KVM" in outcome.stderr
    assert all(event["event"] != "psci" for event in outcome.events())


def assert_seen(kexec: dict, cpus: int) -> None:
    """A kexec of a guest that makes no marks: what lies between CPUs is seen, the rest not."""
    phases = kexec["phase_ns"]
    between = {"jump", "early", "up"} | ({"down"} if cpus > 2 else set())
    assert {name for name in PHASES if phases[name] is not None} == (
        between if cpus > 1 else set())
    assert (kexec["cpus"], kexec["cpus_back"], kexec["lost"]) == (cpus, cpus, [])
    assert not kexec["announced"] and kexec["total_ns"] is None
    assert kexec["verdict"] == "pass"


@pytest.mark.parametrize("cpus", [long(1), long(2), 4])
def test_a1_a2_a4_a_guest_without_marks_is_measured(host: Host, cpus) -> None:
    outcome = host.linux("--cpus", str(cpus), "--expect-kexecs", "2",
                         params="park.cycles=2 park.marks=off")
    assert outcome.status == OK, outcome.explain()
    first, second = outcome.json()["kexecs"]
    for kexec in (first, second):
        assert_seen(kexec, cpus)
    # By its next PSCI call, unless its user space took a second.
    assert first["came_up_by"] in ("settled", "next-kexec")
    assert second["came_up_by"] in ("settled", "end")
    assert len(re.findall(rf"^(?:boot|kexec \d) .* {cpus} of {cpus} ", outcome.stderr,
                          re.MULTILINE)) == 3
    assert f"\nparkvmm: 2 of 2 kexecs, {cpus} of {cpus} CPUs back each time" in outcome.stderr


def test_a1_a_guest_without_marks_that_runs_on_is_a_timeout(host: Host) -> None:
    outcome = host.linux("--cpus", "2", "--expect-kexecs", "1", "--timeout", "20s",
                         params="park.cycles=1 park.marks=off park.end=idle")
    assert outcome.status == TIMEOUT, outcome.explain()
    kexec, = outcome.json()["kexecs"]
    assert_seen(kexec, 2)
    assert kexec["came_up_by"] == "settled"


@pytest.mark.parametrize("cpus, old", [
    (1, ""), long(2, "maxcpus=1"), long(4, "")])
def test_a5_a_crash_kernel_is_recognised(host: Host, cpus, old) -> None:
    outcome = host.linux("--cpus", str(cpus),
                         params=f"park.cycles=1 park.crash crashkernel=320M {old}")
    assert outcome.status == OK, outcome.explain()
    kexec, = outcome.json()["kexecs"]
    assert (kexec["crash"], kexec["verdict"], kexec["came_up_by"]) == (True, "pass", "mark")


def test_a11_a_guest_that_halts_has_ended(host: Host) -> None:
    outcome = host.linux("--cpus", "2", "--timeout", "60s", params="park.end=halt loglevel=6")
    assert outcome.status == OK, outcome.explain()
    assert "reboot: System halted" in outcome.stdout


@pytest.mark.parametrize("end, status, sentence", [
    ("panic", PANIC, "the guest panicked: "),
    long("reboot", RESET, "the guest called SYSTEM_RESET"),
    long("idle", TIMEOUT, "waited 20s for the guest to power off"),
])
def test_how_it_ends_is_its_exit_code(host: Host, end, status,
                                      sentence) -> None:
    outcome = host.linux("--cpus", "2", "--timeout", "20s",
                         params=f"park.end={end}")
    assert outcome.status == status, outcome.explain()
    assert sentence in outcome.stderr
    assert outcome.json()["stop"]["exit_code"] == status
    # The post mortem: the console's end, and where each vCPU is.
    assert "  | " in outcome.stderr
    assert outcome.stderr.count("vCPU ") == 2


@pytest.mark.parametrize("params, reason", [
    ('park.check="/bin/busybox false"', "/bin/busybox ended with status 1"),
    long("park.check=/nowhere", "/nowhere ended with status 127"),
    long('park.cycles=1 park.load="/bin/busybox true"',
         "/bin/busybox is no load: it has ended"),
])
def test_a_check_that_fails_fails_the_run(host: Host, params, reason) -> None:
    outcome = host.linux("--cpus", "1", params=params)
    assert outcome.status == FAILED, outcome.explain()
    assert f"guest-init: FAIL: {reason}" in outcome.stdout
    assert outcome.json()["kexecs"] == []


def test_what_cannot_run_says_so_in_one_line(host: Host) -> None:
    outcome = host.script(f"""
        try() {{ name=$1; shift; status=0
                "$@" 2>$RESULTS/$name.err || status=$?
                echo $status >$RESULTS/$name.status; }}
        head -c 40 {IMAGE} >/tmp/cut
        try missing vmm run /nowhere/Image
        try cut vmm run /tmp/cut
        try shell vmm run /bin/busybox
        try results vmm run --results /nowhere/r {IMAGE}
        try events vmm run --events /nowhere/e {IMAGE}
        rm /dev/kvm
        try nokvm vmm run {IMAGE}
        try skip vmm run --skip-if-no-kvm {IMAGE}
        vmm doctor --json >$RESULTS/doctor.json || true
        """, files=(IMAGE,))
    assert outcome.status == OK, outcome.explain()

    def said(name: str) -> tuple[int, str]:
        error = (outcome.results / f"{name}.err").read_text()
        assert error.count("\n") == 1, error
        return int((outcome.results / f"{name}.status").read_text()), error

    for name, status, words in (
            ("missing", USAGE, "/nowhere/Image"), ("cut", USAGE, "/tmp/cut"),
            ("shell", USAGE, "/bin/busybox"),
            ("results", USAGE, "/nowhere/r"), ("events", USAGE, "/nowhere/e"),
            ("nokvm", CANNOT, "/dev/kvm"),
            ("skip", SKIPPED, "/dev/kvm")):
        found, error = said(name)
        assert (found, words in error) == (status, True), error
    doctor = json.loads((outcome.results / "doctor.json").read_text())
    assert not doctor["usable"]
    assert [c["id"] for c in doctor["checks"] if not c["ok"]] == ["dev_kvm"]


def test_doctor_knows_its_host(host: Host) -> None:
    outcome = host.run(["vmm", "doctor", "--json"])
    assert outcome.status == OK, outcome.explain()
    doctor = json.loads(outcome.stdout)
    found = {check["id"]: check["value"] for check in doctor["checks"]}
    assert doctor["usable"]
    assert found["smccc_filter"] == "yes"
    assert found["max_vcpus"] == "512"
    assert found["mode"] == "VHE"
    assert found["label"] == "kvm-on-tcg-icount"


@pytest.mark.long
def test_parked_cpus_use_no_host_time(host: Host) -> None:
    """While the guest kexecs, /proc shows the secondary threads standing
    still, and the boot CPU's thread running."""
    outcome = host.script(f"""
        vmm run --cpus 4 --memory 1G --seed 1 --initrd {INITRAMFS} \\
            --params '{PARAMS} park.cycles=1' \\
            --results $RESULTS/results.json {IMAGE} &
        vmm=$!
        while kill -0 $vmm 2>/dev/null; do
            usleep 5000  # The distance of the samples, but for what they take.
            read now rest </proc/uptime
            for task in /proc/$vmm/task/*; do
                read name <$task/comm && read ran rest <$task/schedstat &&
                    echo $now $name $ran || true
            done 2>/dev/null >>$RESULTS/samples
        done
        wait $vmm
        """, files=(IMAGE, INITRAMFS), cpus=6)
    assert_kexecs(outcome, cycles=1, cpus=4)
    samples: dict[str, list[tuple[float, int]]] = {}
    for line in (outcome.results / "samples").read_text().splitlines():
        now, name, ran = line.split()
        samples.setdefault(name, []).append((float(now), int(ran)))
    phases = outcome.json()["kexecs"][0]["phase_ns"]
    parked = (phases["jump"] + phases["early"]) / 1e9
    still = {name: max(stretch[-1][0] - stretch[0][0]
                       for stretch in stretches(samples[name])[1:])
             for name in ("vcpu0", "vcpu1", "vcpu2", "vcpu3")}
    assert parked > 0.2
    for name in ("vcpu1", "vcpu2", "vcpu3"):
        # 50 ms: at either end the distance of two samples and uptime's resolution of
        # 10 ms, and the time until the registers of a CPU that has left are reset.
        assert still[name] >= parked - 0.05, (name, still, parked)
    assert still["vcpu0"] < parked / 2


def stretches(samples: list[tuple[float, int]]) -> list[list]:
    """Neighbouring samples between which the thread did not run."""
    return [list(group) for _, group in
            itertools.groupby(samples, key=lambda sample: sample[1])]
