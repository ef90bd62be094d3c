# SPDX-License-Identifier: Apache-2.0
"""Measures what a plan asks for, and keeps every sample.

    tools/bench PLAN [OPTION]...
    tools/bench --arms stock,stop --cpus 8,32 [OPTION]... [KERNEL]...
    tools/bench stress KERNEL... [--kexecs 200] [OPTION]... [-- COMMAND...]

PLAN is a file, or one of tools/plans by name: rutland, scale, figures, ... A
KERNEL takes the place of ours: any arm64 Linux from 5.10 on, as a plain Image,
with CONFIG_KEXEC and CONFIG_DEVMEM, or one of Debian's by name, debian:7.3. On
x86-64 in deterministic virtual time, on the KVM of an emulated arm64 machine;
on an arm64 machine with /dev/kvm natively. Interrupted, it goes on where it was
when it is called again. Into --out: result.json (tools/report, tools/compare),
samples.csv, trace.json (Perfetto), google-benchmark.json, and runs/ with the
events and console of every run.

Exit status: 1 a run failed or lost a CPU, or a gate was missed (--max,
--baseline), 2 usage, 69 something is missing, 74 a --format could not be
written, 130 interrupted.
"""

import argparse
import os
import pathlib

from parkvmm.bench import (export, gates, hazards, markdown, results, runner, shards,
                           stress, unit_cases)
from parkvmm.bench import plan as plans
from parkvmm.cases import output
from parkvmm.debian import kernels
from parkvmm.failure import DIFFERS, OUTPUT_LOST, USAGE, Failure, end_with
from parkvmm.guest import kernel_file
from parkvmm.labels import WORTH
from parkvmm.paths import ROOT


def commas(text: str) -> list[str]:
    return text.split(",")


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/bench", usage="tools/bench [OPTION]... PLAN | KERNEL...", description=__doc__,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="PLAN | KERNEL")
    group = parser.add_argument_group("without a plan")
    group.add_argument("--arms", type=commas, metavar="LIST",
                       help="arms of tools/demo; of kernels: stock")
    group.add_argument("--cpus", type=numbers, metavar="LIST", default=[8])
    group.add_argument("--firmware", type=str.split, metavar="'MODEL...'", default=["none"])
    group.add_argument("--psci", type=commas, metavar="LIST", default=["vmm"])
    parser.add_argument("--cycles", type=int, metavar="N", help="kexecs of each unit")
    parser.add_argument("--out", type=pathlib.Path, metavar="DIR",
                        help="default: out/bench/NAME")
    parser.add_argument("--jobs", type=int, metavar="N",
                        help="runs at a time; more than one in virtual time only")
    parser.add_argument("--wall-clock", action="store_true",
                        help="of the emulated host: functional only, never timing")
    parser.add_argument("--emulated", action="store_true",
                        help="even on an arm64 machine with KVM")
    parser.add_argument("--label", choices=list(WORTH), default="",
                        help="insist on a label in place of the one that vmm finds; the "
                        "result says so")
    parser.add_argument("--shard", metavar="I/N", help="measure every N-th unit, from the I-th "
                        "on: tools/report puts the results together. auto: as the CI system says")
    output.add_option(parser)
    gates.add_options(parser)
    parser.add_argument("--dry-run", action="store_true", help="print what would be run")
    return parser.parse_args(argv)


def plan_of(options: argparse.Namespace) -> plans.Plan:
    what, arms = options.what, options.arms
    if len(what) == 1 and not arms and plans.is_plan(what[0]):
        plan = plans.load(what[0])
        if options.cycles:
            document = plan.document | {"groups": [
                group | {"cycles": options.cycles} for group in plan.document["groups"]]}
            plan = plans.parse(document)
        return plan
    if not what and not arms:
        raise Failure(USAGE, "a plan, kernels or --arms are wanted; see tools/bench --help")
    group = {"arms": arms or ["stock"], "kernels": what or [""], "cpus": options.cpus,
             "firmware": options.firmware, "psci": options.psci}
    if options.cycles:
        group["cycles"] = options.cycles
    return plans.parse({"schema_version": plans.SCHEMA_VERSION, "name": "adhoc",
                        "groups": [group]})


def require_kernels(plan: plans.Plan) -> None:
    """Fails, before anything is built, if a kernel of the user's cannot work."""
    for kernel in sorted({unit.kernel for unit in plan.units} - {""}):
        if wrong := kernel_file.complaint(kernels.path_of(kernel)):
            raise Failure(USAGE, f"{kernel} {wrong}")


def clock_of(options: argparse.Namespace) -> runner.Clock:
    native = runner.can_be_native() and not options.emulated
    return runner.Clock(virtual=not native and not options.wall_clock, native=native,
                        label=options.label)


def warnings_for(plan: plans.Plan, clock: runner.Clock) -> list[str]:
    if clock.virtual:
        return []
    return hazards.find(max(unit.cpus for unit in plan.units),
                        min(unit.cycles for unit in plan.units) * plan.rounds, clock.native)


def main(argv: list[str]) -> int:
    if argv[:1] == ["stress"]:
        return stress.main(argv[1:])
    options = parse(argv)
    whole, clock = plan_of(options), clock_of(options)
    formats = output.parse_all(options.format)
    gate = gates.parse(options, has_times=clock.virtual or clock.native)
    shard = shards.parse(options.shard) if options.shard else None
    plan = shards.part_of(whole, shard) if shard else whole
    jobs = options.jobs or (os.cpu_count() or 1 if clock.virtual else 1)
    if jobs > 1 and not clock.virtual:
        raise Failure(USAGE, "--jobs: only in virtual time do runs not disturb each other")
    if options.dry_run:
        for run in runner.order_of(plan):
            print(run.name)
        return 0
    if not plan.units:
        runner.say(f"shard {shard} has nothing to do: the plan has {len(whole.units)} units")
        lost = output.write_all(formats, [], f"shard {shard} has nothing to do")
        for line in lost:
            runner.say(line)
        return OUTPUT_LOST if lost else 0
    require_kernels(plan)
    out = (options.out or ROOT / "out/bench" / plan.name).absolute()
    out.mkdir(parents=True, exist_ok=True)
    runner.prepare(plan)
    for sentence in warnings_for(plan, clock):
        runner.say(f"warning: {sentence}")
    running = runner.Runner(plan, clock, out, jobs)
    interrupted = None
    try:
        running.run_all()
    except Failure as failure:
        interrupted = failure
    result = results.make(plan, running.collect(results.read_unit), runner.emulator(clock))
    suites = gate.held(result, [
        unit_cases.with_failures(suite, unit["failures"]) for suite, unit in
        zip(running.collect(unit_cases.suite_of), result["units"])])
    if shard:
        result = shards.marked(result, whole, shard)
    results.save(result, out / "result.json")
    export.write_all(result, out)
    print(markdown.markdown(result), end="")
    for sentence in hazards.seen(result) if clock.native else []:
        runner.say(f"warning: {sentence}")
    runner.say(f"label {result['label']}; everything: {out}/")
    lost = output.write_all(formats, suites, unit_cases.verdict(plan.name, suites))
    wrong = [f"{unit['id']}: {'; '.join(unit['failures'])}" for unit in result["units"]
             if unit["failures"]] + gates.missed(suites)
    for line in lost + wrong * (not interrupted):
        runner.say(line)
    if interrupted:
        raise interrupted
    return DIFFERS if wrong else OUTPUT_LOST if lost else 0


if __name__ == "__main__":
    end_with("bench", main)
