# SPDX-License-Identifier: Apache-2.0
"""What `vmm run --format` writes, read by the tools that CI systems read it with.

All runs share one boot of a host, in virtual time.
"""

import json
import pathlib
import re

import arm64_host
import jsonschema
import junitparser
import pytest
from arm64_host import IMAGE, INITRAMFS, LESS, PARAMS, ROOT, Host
from case_readers import junit_cases, ktap_cases, tap_cases
from parkvmm.cases import formats
from parkvmm.cases.cases import suite_of
from payload_runs import STUB, Run

pytestmark = pytest.mark.xdist_group("run-formats")

KINDS = ("text", "json", "junit", "ktap", "tap", "github")
FAULTY = "build/arm64/bin/vmm-faulty"
KEXECS = Run("kexec_again", cpus=4, params="kexecs=2", next=("kexec_again",))
AGAIN = f"--raw {STUB}/kexec_again.bin -c 4 -m 64M -p kexecs=2 -i {KEXECS.images} --expect-kexecs 2"
LINUX = (f"--seed 1 -c 4 -m 1G -p '{PARAMS} {LESS} park.cycles=1' -i {INITRAMFS} "
         f"--expect-kexecs 2 {IMAGE}")

# Each run, and the status that it ends with.
RUNS = {
    "passing": (f"vmm run {AGAIN}", 0),
    "failing": (f"vmm run --raw {STUB}/verdict_fail.bin -m 64M", 1),
    "timed-out": (f"vmm run --raw {STUB}/hang.bin -m 64M --timeout 100ms", 124),
    "lost": (f"{FAULTY} 2:2 run {LINUX}", 66),
    "skipped": (f"rm /dev/kvm; vmm run --skip-if-no-kvm --raw {STUB}/hello.bin -m 64M", 77),
}
# Its cases.
CASES = {
    "passing": {"boot": "passed", "kexec 1": "passed", "kexec 2": "passed", "end": "passed"},
    "failing": {"boot": "passed", "end": "failed guest-verdict"},
    "timed-out": {"boot": "passed", "end": "error timeout"},
    "lost": {"boot": "passed", "kexec 1": "failed cpus-lost", "kexec 2": "skipped",
             "end": "passed"},
    "skipped": {"end": "skipped"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    arm64_host.require()
    KEXECS.write_images()
    script = "set +e\n"
    for name, (command, _) in RUNS.items():
        words = " ".join(f"--format {one}:$RESULTS/{name}.{one}" for one in KINDS)
        script += f"{command} {words} >$RESULTS/{name}.out 2>$RESULTS/{name}.err\n"
        script += f"echo {name} $?\n"
    outcome = Host(tmp_path_factory.mktemp("formats")).script(
        script, files=(STUB, FAULTY, IMAGE, INITRAMFS))
    assert outcome.status == 0, outcome.explain()
    assert dict(line.split() for line in outcome.stdout.splitlines()) == {
        name: str(status) for name, (_, status) in RUNS.items()}
    return outcome.results


each_run = pytest.mark.parametrize("name", RUNS)


@each_run
def test_junit_is_read_by_junitparser(folder: pathlib.Path, name: str) -> None:
    assert junit_cases((folder / f"{name}.junit").read_text()) == {"stock": CASES[name]}


@each_run
def test_tap_is_read_by_tap_py(folder: pathlib.Path, name: str) -> None:
    assert tap_cases((folder / f"{name}.tap").read_text()) == CASES[name]


@each_run
def test_ktap_is_as_the_kernels_documentation_has_it(folder: pathlib.Path, name: str) -> None:
    assert ktap_cases((folder / f"{name}.ktap").read_text()) == CASES[name]


@each_run
def test_the_tools_write_the_same_bytes(folder: pathlib.Path, name: str) -> None:
    """parkvmm/cases writes what vmm/run/case_formats.cc does, from the cases in the results."""
    document = json.loads((folder / f"{name}.json").read_text())
    if name == "skipped":
        assert document is None
        return
    suite = suite_of("stock", document)
    for kind, maker in (("junit", formats.junit), ("ktap", formats.ktap), ("tap", formats.tap)):
        assert maker([suite]) == (folder / f"{name}.{kind}").read_text(), kind
    assert (folder / f"{name}.out").read_text().endswith(formats.annotations([suite]))
    summary = (folder / f"{name}.github").read_text()
    verdict = summary.split("\n")[2]
    assert formats.summary([suite], "VERDICT").replace("VERDICT", verdict) == summary


@each_run
def test_json_is_as_its_schema_has_it(folder: pathlib.Path, name: str) -> None:
    document = json.loads((folder / f"{name}.json").read_text())
    if name == "skipped":
        assert document is None
        return
    jsonschema.validate(document, json.loads(
        (ROOT / "docs/schemas/result.schema.json").read_text()))
    verdicts = [boot["verdict"] for boot in document["boots"] + document["kexecs"]]
    assert ("cpus-lost" in verdicts) == (name == "lost")


@each_run
def test_github_shows_what_did_not_pass(folder: pathlib.Path, name: str) -> None:
    annotations = re.findall(r"^::(error|notice) title=parkvmm stock%3A ([^:]*)::",
                             (folder / f"{name}.out").read_text(), re.MULTILINE)
    assert annotations == [
        ("notice", f"{case} was skipped") if outcome == "skipped" else
        ("error", f"{case} {outcome.split()[1]}")
        for case, outcome in CASES[name].items() if outcome != "passed"]
    summary = (folder / f"{name}.github").read_text()
    assert re.findall(r"^\| (boot|end|kexec \d) \|", summary, re.MULTILINE) == list(CASES[name])


@each_run
def test_text_is_what_stderr_says(folder: pathlib.Path, name: str) -> None:
    said = (folder / f"{name}.err").read_text()
    text = (folder / f"{name}.text").read_text().splitlines()
    assert text and all(line in said for line in text)
    assert max(map(len, text)) <= 120


def test_what_failed_has_what_was_found(folder: pathlib.Path) -> None:
    """The diagnosis, the CPU, and the console's last lines."""
    suite, = junitparser.JUnitXml.fromfile(folder / "lost.junit")
    failure, = next(case.result for case in suite if case.name == "kexec 1")
    assert "kexec 1 brought back 3 of 4 CPUs: vCPU 2 was called and never started" in failure.text
    assert "last lines of the guest's console:" in failure.text
    assert "vCPU 2 (MPIDR 0x2): " in failure.text
