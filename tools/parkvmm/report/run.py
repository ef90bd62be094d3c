# SPDX-License-Identifier: Apache-2.0
"""Builds the page of one `vmm run`: how it ended, each boot and kexec, and what was found
about its CPUs."""

import dataclasses
from typing import Any

from parkvmm.bench import results
from parkvmm.bench.facts import PHASES, Sample
from parkvmm.bench.statistics import median
from parkvmm.labels import EMULATED
from parkvmm.report import kexecs, sections, summary
from parkvmm.report.environment import data_section, environment_section
from parkvmm.report.events import Events
from parkvmm.report.markup import Markup
from parkvmm.report.summary import counted, time_of
from parkvmm.report.templating import filled

MEASURES = (*PHASES, "total", "teardown")
UP_BY = {"mark": "mark", "next-kexec": "next kexec", "end": "guest's end", "settled": "settled",
         "stopped": "stop", None: "-"}
FATES = {"not-called": "was not called again", "never-started": "was called and never started"}
MISTAKES = {"unowned_accesses": "access to an address that no device has",
            "undecodable_accesses": "access that could not be decoded",
            "unknown_calls": "call of a function that PSCI does not have"}
NOTE = ("CPUs back: of those that were online before. left, came: by which doors the CPUs did. "
        "up by: how it is known that it came up: the guest's mark, the next kexec, the guest's own "
        "end, or all CPUs had started and then the guest had settled or the run was stopped. ")
TIMES_NOTE = ("A dash: it could not be seen. teardown is from the kexec mark to the last CPU's "
              "being off.")

Run = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    back: str
    verdict: str
    times: list[int | None]
    left: str
    came: str
    up_by: str

    @property
    def bad(self) -> bool:
        return self.verdict != "pass"


def time(boot: Sample, measure: str) -> int | None:
    """Returns the time of a phase, of `total`, or of `teardown`, which older results lack."""
    if measure in PHASES:
        return boot["phase_ns"][measure]
    return boot.get(f"{measure}_ns")


def doors(counts: dict[str, int], *names: tuple[str, str]) -> str:
    """Returns by which doors CPUs went, and how many if it was not one: "6 CPU_OFF, 1 park"."""
    used = [(counts[key], name) for key, name in names if counts[key]]
    if len(used) == 1:
        return used[0][1]
    return ", ".join(f"{count} {name}" for count, name in used) or "-"


def row_of(name: str, boot: Sample) -> Row:
    return Row(name, f"{boot['cpus_back']} of {boot['cpus']}", boot["verdict"],
               [time(boot, measure) for measure in MEASURES],
               doors(boot["doors"], ("cpu_off", "CPU_OFF"), ("park", "park")),
               doors(boot["doors"], ("cpu_on", "CPU_ON"), ("release", "release")),
               UP_BY[boot.get("came_up_by")])


def named(run: Run) -> list[tuple[str, Sample]]:
    """Returns each boot with its name, in the order of their beginnings."""
    firsts = [("boot" if number == 1 else f"boot {number}", boot)
              for number, boot in enumerate(run["boots"], 1)]
    kexecs = [(f"kexec {number}", boot) for number, boot in enumerate(run["kexecs"], 1)]
    return sorted(firsts + kexecs, key=lambda item: item[1]["begin_ns"] or 0)


def summed(run: Run) -> list[tuple[str, list[float | None]]]:
    """Returns the median, least and most of kexecs, where there is more than one of each."""
    columns = [[ns for kexec in run["kexecs"] if (ns := time(kexec, measure)) is not None]
               for measure in MEASURES]
    several = [column if len(column) > 1 else [] for column in columns]
    if not any(several):
        return []
    return [("median", [median(column) for column in several]),
            ("least", [min(column, default=None) for column in several]),
            ("most", [max(column, default=None) for column in several])]


def came_up(kexecs: list[Sample]) -> str:
    """Says how many kexecs came up, and with which CPUs."""
    up = [kexec for kexec in kexecs if kexec["verdict"] != "incomplete"]
    if len(kexecs) == 1:
        back = row_of("", kexecs[0]).back
        return f"The kexec came up with {back} CPUs" if up else "The kexec did not come up"
    text = f"{len(up)} of {len(kexecs)} kexecs came up"
    passed = sum(kexec["verdict"] == "pass" for kexec in up)
    if not up:
        return text
    if passed < len(up):
        return f"{text}, and all CPUs came back in {passed} of them"
    alike = {kexec["cpus"] for kexec in up if kexec["cpus_back"] == kexec["cpus"]}
    whole = len(alike) == 1 and all(kexec["cpus_back"] in alike for kexec in up)
    return f"{text}, and {f'all {alike.pop()} CPUs' if whole else 'the CPUs'} came back each time"


def answer(run: Run) -> str:
    """Says what came up and came back, and how long it took."""
    kexecs = run["kexecs"]
    if not kexecs:
        boot = run["boots"][0]
        return (f"No kexec began. The first boot started {boot['cpus_back']} of "
                f"{counted(boot['cpus'], 'CPU')}.")
    downs = [ns for kexec in kexecs if kexec["verdict"] != "incomplete"
             and (ns := kexec["phase_ns"]["down"]) is not None]
    took = ""
    if downs and run["label"] != EMULATED:
        between = f" ({time_of(min(downs))} to {time_of(max(downs))})" if len(downs) > 1 else ""
        took = f"; down takes {time_of(median(downs) or 0)}{between}"
    return f"{came_up(kexecs)}{took}."


def fate(cpu: dict[str, Any]) -> str:
    what = FATES.get(cpu["fate"], f"was refused: CPU_ON answered {cpu['answer']}")
    return f"vCPU {cpu['vcpu']} (MPIDR {cpu['mpidr']}) {what}"


def troubles(run: Run) -> list[tuple[str, str]]:
    """Returns what went wrong, as pairs of a name and a sentence."""
    stop, found = run["stop"], []
    if stop["exit_code"]:
        why = f"{stop['sentence']} [{stop['id']}]" if stop["id"] else "no reason is known"
        found.append((f"exit code {stop['exit_code']}", why))
    found += [(name, "; ".join(map(fate, boot["lost"]))) for name, boot in named(run)
              if boot.get("lost")]
    found += [("guest", f"{count} x {MISTAKES[name]}")
              for name, count in run["guest_mistakes"].items() if count]
    if run["lost_events"]:
        found.append(("events", f"{run['lost_events']} came too fast to be kept; what they would "
                      "have told is missing here, too"))
    return found


def more(run: Run, result: results.Result) -> str:
    stop = run["stop"]
    said = [] if stop["exit_code"] else ["The run ended with exit code 0."]
    if stop["resets"]:
        said.append(f"It was reset {counted(stop['resets'], 'time')} and booted again.")
    if stop["guest_verdict"]:
        said.append(f"The guest's verdict has code {stop['guest_verdict']['code']} and value "
                    f"{stop['guest_verdict']['value']}.")
    if (spun := run["spinning"]) and run["label"] != EMULATED:
        said.append(f"CPUs that spun in park pages for {time_of(spun['parked_ns'])} took "
                    f"{time_of(spun['host_cpu_ns'])} of host CPU time.")
    return " ".join([*said, *filter(None, [summary.unlocked(result)])])


def article(run: Run, events: Events | None) -> Markup:
    result, ident = results.of_run(run), "r1"
    timed = run["label"] != EMULATED
    return filled(
        "run.html.j2", ident=ident, title=result["name"], answer=answer(run),
        more=more(run, result), label=run["label"], label_worth=summary.worth(result),
        label_warning=not timed or run["label_insisted"], troubles=troubles(run), timed=timed,
        measures=MEASURES, rows=[row_of(*item) for item in named(run)], summed=summed(run),
        note=NOTE + TIMES_NOTE * timed, diagnoses=run["diagnoses"], events=events,
        lanes=kexecs.lanes_section([kexecs.unit_of(run)], ident, whole=True) if timed else None,
        who=sections.split_section(result, ident) if timed else None,
        steps=sections.steps_section(result, ident) if timed else None,
        environment=environment_section(result, ident, is_bench=False),
        data=data_section(ident, is_bench=False))
