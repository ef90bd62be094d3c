# SPDX-License-Identifier: Apache-2.0
"""action.yml and its steps, with a vmm that is a script. tests/packages runs the real one."""

import json
import os
import pathlib
import re
import subprocess
import tarfile

import pytest
import yaml
from action_steps import Job, action
from arm64_host import ROOT
from parkvmm.ci import action as runner
from parkvmm.failure import USAGE, Failure
from parkvmm.front.table import OPTIONS

CASES = [{"name": "boot", "outcome": "passed", "ns": 5, "id": None, "message": None, "details": []},
         {"name": "kexec 1", "outcome": "failed", "ns": None, "id": "cpus-lost",
          "message": "kexec 1 brought back 3 of 4 CPUs", "details": ["::error::of the guest"]}]
RESULTS = json.dumps({"label": "kvm", "tool": {"version": "1", "commit": "c"}, "cases": CASES})


def bundle_of(folder: pathlib.Path, script: str) -> pathlib.Path:
    """Makes a bundle whose vmm is a script; $OUT is the folder of results."""
    (folder / "parkvmm-1/bin").mkdir(parents=True)
    vmm = folder / "parkvmm-1/bin/vmm"
    vmm.write_text('#!/bin/sh\n[ "$1" != --version ] || exec echo vmm 1\n' + script)
    vmm.chmod(0o755)
    with tarfile.open(folder / "bundle.tar.gz", "w:gz") as archive:
        archive.add(folder / "parkvmm-1", "parkvmm-1")
    return folder / "bundle.tar.gz"


@pytest.fixture
def job(tmp_path: pathlib.Path) -> Job:
    """A job in a workspace, on a machine that has all packages already."""
    for name in ("temp", "workspace", "programs"):
        (tmp_path / name).mkdir()
    for name in ("apt-get", "apt-cache", "qemu-system-aarch64"):
        program = tmp_path / "programs" / name
        program.write_text('#!/bin/sh\necho "  Candidate: 1:7.2+x~y"\n')
        program.chmod(0o755)

    def shell(script: str, environment: dict[str, str]) -> int:
        path = f"{tmp_path}/programs:{os.environ['PATH']}"
        with open(tmp_path / "log", "ab") as log:
            return subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script], stdout=log,
                cwd=tmp_path / "workspace", env={"PATH": path} | environment, timeout=60,
                stderr=subprocess.STDOUT, check=False).returncode

    return Job({"kernel": "Image"}, shell, tmp_path / "temp", str(tmp_path / "temp"),
               str(tmp_path / "tools"), str(ROOT), {"action_ref": "v1.0"})


def log_of(job: Job) -> str:
    return (job.temp.parent / "log").read_text()


# --- the inputs -------------------------------------------------------------------------

def test_inputs_are_the_options_one_to_one() -> None:
    options = [option.key for option in OPTIONS if option.key != "help"]
    inputs = list(action()["inputs"])
    assert [name for name in inputs if name not in runner.OWN] == options
    assert set(runner.OWN) <= set(inputs)


def test_each_input_becomes_its_words() -> None:
    inputs = {"kernel": "a/Image", "cpus": "8", "params": "quiet\nconsole=ttyAMA0 x\n",
              "strict": "true", "verbose": "false", "format": "ktap:k", "memory": "",
              "host": "native", "command": "./test\nexit 3"}
    words = runner.words_of(inputs, pathlib.Path("out"))
    assert words == [
        "--host", "native", "run", "--params", "quiet", "--params", "console=ttyAMA0 x",
        "--cpus", "8", "--strict", "--format", "ktap:k", "--results", "out/results.json",
        "--events", "out/events.jsonl", "--format", "junit:out/junit.xml", "a/Image", "--", "sh",
        "-ec", "./test\nexit 3"]
    assert runner.words_of({"kernel": "I", "deterministic": "true", "dry-run": "true"},
                           pathlib.Path("out")) == ["--deterministic", "run", "--dry-run", "I"]
    named = runner.words_of({"kernel": "I", "results": "r", "events": "e"}, pathlib.Path("out"))
    assert "out/results.json" not in named and named[named.index("--results") + 1] == "r"


def test_a_flag_is_true_or_false() -> None:
    with pytest.raises(Failure, match="strict: yes is neither true nor false") as caught:
        runner.option_words({"strict": "yes"})
    assert caught.value.status == USAGE


# --- the steps --------------------------------------------------------------------------

def test_a_run_that_fails_is_told_in_all_ways(job: Job, tmp_path: pathlib.Path) -> None:
    job.inputs["bundle"] = str(bundle_of(tmp_path, f"""
        echo '::error::the guest says so'
        printf 'no end of line'
        echo '::warning::vmm says so' >&2
        cat >parkvmm-out/results.json <<'END'
        {RESULTS}
END
        exit 66"""))
    assert job.run() == 66
    log = log_of(job)
    guarded = re.search(r"^::stop-commands::(\w{32})$(.*)^::\1::$", log, re.MULTILINE | re.DOTALL)
    assert guarded and "the guest says so" in guarded[2] and "vmm says so" in guarded[2]
    rest = log.replace(guarded[0], "")
    assert re.findall(r"^::(\w+)", rest, re.MULTILINE) == ["error"]
    assert "::error title=parkvmm stock%3A kexec 1 cpus-lost::kexec 1 brought back" in rest
    assert (tmp_path / "workspace/parkvmm-out/console.log").read_text() == (
        "::error::the guest says so\nno end of line")
    assert "| kexec 1 | failed | - |" in (job.temp / "summary.md").read_text()
    assert job.outputs["probe"]["kvm"] == "emulated"
    assert "1:7.2+x~y".replace(":", "_") in job.outputs["probe"]["key"]


def test_a_run_that_goes_well_has_outputs(job: Job, tmp_path: pathlib.Path) -> None:
    good = json.dumps(json.loads(RESULTS) | {"cases": CASES[:1]})
    job.inputs["bundle"] = str(bundle_of(
        tmp_path, f"echo '{good}' >parkvmm-out/results.json; echo \"$@\""))
    assert job.run() == 0
    assert job.result("exit-code") == "0" and job.result("verdict") == "1 cases went well"
    assert "--host auto run --results parkvmm-out/results.json" in log_of(job)


def test_without_results_the_step_fails_as_vmm_did(job: Job, tmp_path: pathlib.Path) -> None:
    (tmp_path / "workspace/parkvmm-out").mkdir()
    (tmp_path / "workspace/parkvmm-out/results.json").write_text(RESULTS)
    job.inputs["bundle"] = str(bundle_of(tmp_path, "exit 69"))
    assert job.run() == 69
    assert "it left no results, and ended with 69" in log_of(job)


def test_a_dry_run_has_no_cases(job: Job, tmp_path: pathlib.Path) -> None:
    job.inputs |= {"bundle": str(bundle_of(tmp_path, "exit 3")), "dry-run": "true",
                   "out": "a/b"}
    assert job.run() == 3
    assert "left no results" not in log_of(job)
    assert (tmp_path / "workspace/a/b/console.log").read_text() == ""


def test_a_job_without_a_kernel_is_told() -> None:
    with pytest.raises(Failure, match="the input kernel is missing"):
        runner.main([], {"PARKVMM_INPUTS": "{}", "PARKVMM_HOME": "/nowhere"})


def test_what_is_skipped_is_no_failure(job: Job, tmp_path: pathlib.Path) -> None:
    job.inputs["bundle"] = str(bundle_of(tmp_path, "exit 77"))
    assert job.run() == 0
    assert job.result("exit-code") == "77"
    assert "::notice title=parkvmm stock%3A end was skipped::" in log_of(job)


@pytest.mark.parametrize("changed, status, reason", [
    ({"bundle": "none.tar.gz"}, 2, "bundle: there is no file none.tar.gz"),
    ({"host": "native"}, 69, "error: host is native, and this runner's KVM cannot be used"),
    ({"bundle": ""}, 2, "use a tag such as v1.2.3")])
def test_a_mistake_ends_the_job_with_a_line(job: Job, changed: dict[str, str], status: int,
                                            reason: str) -> None:
    if changed.get("host") == "native" and os.uname().machine == "aarch64":
        pytest.skip("this machine may have a KVM that will do")
    job.inputs |= changed
    job.context = {"action_ref": "main", "action_repository": "x/y"}
    assert job.run() == status
    assert reason in log_of(job)


@pytest.mark.parametrize("kvm", ["native", "emulated"])
def test_the_probe_looks_whether_kvm_can_be_opened(job: Job, tmp_path: pathlib.Path,
                                                   kvm: str) -> None:
    """On a machine that says it is an arm64 one, with a device or without."""
    uname = tmp_path / "programs/uname"
    uname.write_text("#!/bin/sh\necho aarch64\n")
    uname.chmod(0o755)
    device = tmp_path / "kvm"
    if kvm == "native":
        device.touch()
    shell = job.shell
    job.shell = lambda script, environment: shell(
        script, environment | {"PARKVMM_KVM_DEVICE": str(device)})
    job.inputs["bundle"] = str(bundle_of(tmp_path, "exit 77"))
    assert job.run() == 0
    assert job.result("kvm") == kvm
    assert ("this machine's KVM will do" in log_of(job)) == (kvm == "native")


def test_a_release_is_checked_against_its_sums(job: Job, tmp_path: pathlib.Path) -> None:
    bundle = bundle_of(tmp_path, "exit 77")
    release = tmp_path / "x/y/releases/download/v1.0"
    release.mkdir(parents=True)
    bundle.rename(release / "parkvmm-1.0-bundle.tar.gz")
    job.context = {"action_ref": "v1.0", "action_repository": "x/y",
                   "server_url": f"file://{tmp_path}"}
    (release / "SHA256SUMS").write_text(f"{'0' * 64}  parkvmm-1.0-bundle.tar.gz\n")
    assert job.run() == 65
    assert "is not what the release's SHA256SUMS say" in log_of(job)
    with open(release / "SHA256SUMS", "w") as sums:
        subprocess.run(["sha256sum", "parkvmm-1.0-bundle.tar.gz"], cwd=release, stdout=sums,
                       check=True, timeout=60)
    assert job.run() == 0
    (release / "SHA256SUMS").unlink()
    assert job.run() == 0, "the bundle is in the cache"


def test_the_files_for_ci_systems_are_yaml_without_surprises() -> None:
    files = subprocess.run(["git", "ls-files", "*.yml", "*.yaml"], cwd=ROOT, text=True,
                           capture_output=True, check=True, timeout=60).stdout.split()
    assert "action.yml" in files
    for name in files:
        assert list(yaml.safe_load_all((ROOT / name).read_text())), name
    done = subprocess.run(["yamllint", "--strict", "-c", ".yamllint", *files], cwd=ROOT, text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def test_scripts_of_the_steps_are_plain_bash() -> None:
    for name in ("probe", "get"):
        subprocess.run(["bash", "-n", ROOT / "tools/action" / name], check=True, timeout=60)
