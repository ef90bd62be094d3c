# SPDX-License-Identifier: Apache-2.0
"""What docs/ci.md says about several machines: a Slurm array on this one, and the manifest of a
Kubernetes Job. tools/test fleet installs what they take.
"""

import collections
import getpass
import json
import os
import pathlib
import re
import selectors
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import kubernetes.client
import pytest
import yaml
from arm64_host import ROOT, require

DAEMON_DEADLINE = 120  # seconds for one to say that it is ready
BENCH_DEADLINE = 1200
WORDS = ("--arms", "stock", "--cpus", "2,3", "--cycles", "1", "--emulated")
# One machine that plays all: it may run two tasks at a time, and trusts whoever calls.
CONFIGURATION = """\
ClusterName=parkvmm
SlurmctldHost={host}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
NodeName={host} CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_for(process: subprocess.Popen[str], name: str, line: str) -> None:
    """Waits until a daemon says a line."""
    assert process.stderr
    seen: collections.deque[str] = collections.deque(maxlen=20)
    deadline = time.monotonic() + DAEMON_DEADLINE
    with selectors.DefaultSelector() as selector:
        selector.register(process.stderr, selectors.EVENT_READ)
        while selector.select(max(0, deadline - time.monotonic())):
            said = process.stderr.readline()
            seen.append(said)
            if line in said:
                return
            assert said, f"{name} ended: {''.join(seen)}"
    pytest.fail(f"waited {DAEMON_DEADLINE} s for {name} to say {line!r}: {''.join(seen)}")


@pytest.fixture
def slurm(tmp_path: pathlib.Path) -> Iterator[dict[str, str]]:
    """Yields the environment in which sbatch finds a cluster of this machine."""
    if not shutil.which("slurmctld"):
        message = "Slurm is not installed; run tools/setup fleet"
        if os.environ.get("PARKVMM_REQUIRE_KVM"):
            pytest.fail(message)
        pytest.skip(message)
    for name in ("state", "spool"):
        (tmp_path / name).mkdir()
    file = tmp_path / "slurm.conf"
    file.write_text(CONFIGURATION.format(host=socket.gethostname(), user=getpass.getuser(),
                                         folder=tmp_path, ports=free_ports(2)))
    environment = os.environ | {"SLURM_CONF": str(file)}
    processes = []
    try:
        # What it says later is not read: there is room for it in the pipe.
        for words, ready in ((["slurmctld", "-D", "-c"], "Running as primary controller"),
                             (["slurmd", "-D"], " started")):
            processes.append(subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL,
                                              stderr=subprocess.PIPE, text=True))
            wait_for(processes[-1], words[0], ready)
        yield environment
    finally:
        for process in reversed(processes):
            process.terminate()
            process.wait(60)


def run(*words: str, environment: dict[str, str] | None = None,
        deadline: int = BENCH_DEADLINE) -> str:
    done = subprocess.run(words, cwd=ROOT, text=True, capture_output=True, check=False,
                          env=environment, stdin=subprocess.DEVNULL, timeout=deadline)
    assert done.returncode == 0, f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def test_two_tasks_of_an_array_are_one_measurement(slurm: dict[str, str],
                                                   tmp_path: pathlib.Path) -> None:
    """In virtual time the merged result has the bytes of the unsplit one, and so has its page."""
    require()
    unsplit = tmp_path / "unsplit"
    run("tools/bench", *WORDS, "--out", str(unsplit))
    said = run("sbatch", "--wait", "--parsable", "--array=1-2", "--output",
               f"{tmp_path}/task-%a.log", "tools/fleet/slurm", *WORDS, environment=slurm)
    logs = "".join(path.read_text() for path in sorted(tmp_path.glob("task-*.log")))
    parts = sorted((ROOT / "out" / said.strip()).glob("*/result.json"))
    assert [part.parent.name for part in parts] == ["1", "2"], logs
    merged = tmp_path / "merged.json"
    run("tools/report", *map(str, parts), "--result", str(merged), "--html",
        str(tmp_path / "merged.html"))
    run("tools/report", str(unsplit / "result.json"), "--html", str(tmp_path / "unsplit.html"))
    assert merged.read_bytes() == (unsplit / "result.json").read_bytes()
    assert (tmp_path / "merged.html").read_bytes() == (tmp_path / "unsplit.html").read_bytes()
    units = [json.loads(part.read_text())["units"] for part in parts]
    assert [len(each) for each in units] == [1, 1], "each task had its part"


# --- Kubernetes -------------------------------------------------------------------------

CONTAINER = re.compile(r"(list|dict)[\[(](?:str, )?(.+)[\])]")


def complaints(value: Any, kind: str, path: str) -> Iterator[str]:
    """Yields what does not fit a type of Kubernetes' API, as its own client has the schema."""
    if found := CONTAINER.fullmatch(kind):
        if not isinstance(value, {"list": list, "dict": dict}[found[1]]):
            yield f"{path} is no {kind}"
            return
        for key, below in (enumerate(value) if found[1] == "list" else value.items()):
            yield from complaints(below, found[2], f"{path}.{key}")
    elif hasattr(kubernetes.client, kind):
        known = getattr(kubernetes.client, kind)
        names = {name: attribute for attribute, name in known.attribute_map.items()}
        for name, below in value.items():
            if name not in names:
                yield f"{path} has no field {name}"
            else:
                yield from complaints(below, known.openapi_types[names[name]], f"{path}.{name}")
    else:
        types = {"str": str, "int": int, "bool": bool, "object": object}
        if not isinstance(value, types[kind]):
            yield f"{path} is no {kind}"


def job() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((ROOT / "tools/fleet/kubernetes.yaml").read_text())
    return document


def test_the_manifest_fits_the_api_of_kubernetes() -> None:
    assert list(complaints(job(), "V1Job", "job")) == []
    wrong = job()
    wrong["spec"]["parallel"] = 4
    wrong["spec"]["completions"] = "4"
    wrong["spec"]["template"]["spec"]["containers"][0]["volumeMounts"][0]["path"] = "/x"
    assert len(list(complaints(wrong, "V1Job", "job"))) == 3


def test_the_manifests_numbers_of_pods_agree() -> None:
    spec = job()["spec"]
    container, = spec["template"]["spec"]["containers"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"]
    assert f"--shard auto/{spec['completions']} " in container["args"][0]
