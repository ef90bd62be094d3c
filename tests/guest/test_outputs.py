# SPDX-License-Identifier: Apache-2.0
"""Every output of `vmm run`, lost in every way: the run ends, says the verdict, and has a code.

All cells share one boot of a host, in virtual time.
"""

import dataclasses
import functools
import pathlib

import pytest
from arm64_host import Host
from payload_runs import STUB

OK, VERDICT, USAGE, LOST = 0, 1, 2, 74
TIMEOUT = 20  # s, of each run
PATIENCE = 5  # s that each output is waited for
SAYS = "the guest's verdict is FAIL"

FAULTS = ("unread", "stalled", "full", "closed", "tmpfs")
OUTPUTS = ("stdout", "stderr", "events", "results", "dtb")
# Those that are refused before the guest starts: another path would do.
REFUSED = {("unread", "events"), ("closed", "events"), ("closed", "results"), ("closed", "dtb")}
# A pipe that was opened before holds what a run says.
TAKEN = {("unread", "stdout"), ("unread", "stderr")}

SCRIPT = """
work=$(mktemp -d)
cd $work
mkdir disk
mount -t tmpfs -o size=64k tmpfs disk
touch disk/stdout disk/stderr
cat /dev/zero >disk/filler 2>/dev/null || true

# An empty pipe of which this shell is the reader takes 64 KiB.
pipe() { rm -f pipe; mkfifo pipe; }
fill() { head -c 65536 /dev/zero >&9; }

redirected() {  # OUTPUT PATH COMMAND...
  output=$1 path=$2
  shift 2
  case $output in
    stdout) "$@" >"$path" 2>said;;
    stderr) "$@" >console 2>"$path";;
    events) "$@" --events "$path" >console 2>said;;
    results) "$@" --results "$path" >console 2>said;;
    dtb) "$@" --dump-dtb "$path" >console 2>said;;
  esac
}

run() {  # FAULT OUTPUT COMMAND...
  fault=$1 output=$2
  shift 2
  pipe
  case $fault-$output in
    unread-std*) exec 9<>pipe; redirected $output /proc/self/fd/9 "$@";;
    unread-*) redirected $output pipe "$@";;
    stalled-*) exec 9<>pipe; fill; redirected $output pipe "$@";;
    full-*) redirected $output /dev/full "$@";;
    closed-stdout) "$@" >&- 2>said;;
    closed-stderr) "$@" >console 2>&-;;
    closed-*) redirected $output /proc/self/fd/99 "$@";;
    tmpfs-std*) redirected $output disk/$output "$@";;
    tmpfs-*) redirected $output disk/file "$@";;
  esac
}

up() { cut -d. -f1 /proc/uptime; }
for fault in FAULTS; do
  for output in OUTPUTS; do
    for payload in hello verdict_fail; do
      : >said
      begin=$(up)
      set +e
      (set +e; run $fault $output vmm run --raw STUB/$payload.bin -m 64M --timeout TIMEOUTs)
      code=$?
      set -e
      seconds=$(($(up) - begin))
      lines=$(grep -c "SAYS" said || true)
      lost=$(grep -cE "^vmm: error: (cannot write|waited 5 s for (whoever|a reader))" said || true)
      echo "cell $fault $output $payload $code $seconds $lines $lost"
      sed "s/^/  /" said
      rm -f disk/file disk/file.tmp
    done
  done
done
ls disk | sed "s/^/left /"
"""


@dataclasses.dataclass(frozen=True)
class Cell:
    code: int
    seconds: int
    said: int  # lines with the verdict
    lost: int  # lines that name the output


@functools.cache
def cells(folder: pathlib.Path) -> dict[tuple[str, ...], Cell]:
    script = SCRIPT
    for word, value in (("FAULTS", " ".join(FAULTS)), ("OUTPUTS", " ".join(OUTPUTS)),
                        ("STUB", f"$OLDPWD/{STUB}"), ("TIMEOUT", str(TIMEOUT)), ("SAYS", SAYS)):
        script = script.replace(word, value)
    outcome = Host(folder).script(script, files=(STUB,))
    print(outcome.stdout)
    assert outcome.status == 0, outcome.explain()
    assert "left file" not in outcome.stdout
    found = {}
    for line in outcome.stdout.splitlines():
        if line.startswith("cell "):
            _, *name, code, seconds, said, lost = line.split()
            found[tuple(name)] = Cell(int(code), int(seconds), int(said), int(lost))
    return found


@pytest.mark.usefixtures("host")
def test_an_output_that_is_lost_ends_no_run_and_has_a_code(tmp_path) -> None:
    found, wrong = cells(tmp_path), []
    for fault in FAULTS:
        for output in OUTPUTS:
            where = (fault, output)
            for payload, verdict in (("hello", OK), ("verdict_fail", VERDICT)):
                code = USAGE if where in REFUSED else \
                    verdict if verdict or where in TAKEN else LOST
                said = int(payload == "verdict_fail" and output != "stderr"
                           and where not in REFUSED)
                lost = int(where not in REFUSED | TAKEN and output != "stderr")
                cell = found[*where, payload]
                told = cell.lost if where not in REFUSED else lost  # in other words
                if (cell.code, cell.said, told) != (code, said, lost) or \
                        cell.seconds > TIMEOUT + 2 * PATIENCE:
                    wrong.append(f"{fault} {output} {payload}: {cell}, "
                                 f"not code {code}, said {said}, lost {lost}")
    assert not wrong, "\n".join(wrong)
