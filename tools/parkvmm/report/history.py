# SPDX-License-Identifier: Apache-2.0
"""Builds the page of several results: how down, up and teardown of each unit went from one
to the next.

A result holds no date. So results are in the order in which they were given, and each is named by
what differs: its kernels, by the release that a kernel calls itself or by their sha256, or else the
commit of parkvmm. Results with different labels are never in one picture.
"""

import csv
import dataclasses
import io
import math
import re
from typing import Iterable, Iterator

from parkvmm.bench import analysis
from parkvmm.bench.analysis import Spread, Unit, spread_of
from parkvmm.bench.results import Result
from parkvmm.labels import EMULATED
from parkvmm.report import plots, summary
from parkvmm.report.markup import Markup, join
from parkvmm.report.summary import counted
from parkvmm.report.templating import filled

MEASURES = ("down", "up", "teardown")
LONG = 60  # rows; a longer table is folded
SHORT = 9  # digits of a commit, and of a sha256
# What makes a unit of one result that of another.
SAME = ("id", "host_cpus", "firmware", "psci", "variant", "memory")


@dataclasses.dataclass(frozen=True)
class Entry:
    """A result among others of its label."""
    number: int  # in the order in which they were given, from 1
    result: Result

    def of_runs(self, part: str, name: str) -> list[str]:
        """Returns what the runs of its units have in a field, each value once."""
        return sorted({unit["run"][part][name] for unit in self.result["units"] if unit["run"]})

    @property
    def commit(self) -> str:
        return ", ".join(commit[:SHORT] or "unknown" for commit in self.of_runs("tool", "commit"))

    @property
    def kernel_sha256(self) -> str:
        return ", ".join(sha[:SHORT] for sha in self.of_runs("guest", "kernel_sha256"))

    @property
    def kernel(self) -> str:
        """Returns releases, with a commit if the kernels were built so. A kernel without one, and
        all of a result of before there were any, has its sha256."""
        guests = [unit["run"]["guest"] for unit in self.result["units"] if unit["run"]]
        return ", ".join(sorted({guest.get("kernel_release") or guest["kernel_sha256"][:SHORT]
                                 for guest in guests}))

    @property
    def hosts(self) -> str:
        """Returns what tells one host from another, to compare and not to read."""
        return repr((self.result["emulator"], [
            sorted(unit["run"]["host"].items()) for unit in self.result["units"] if unit["run"]]))


@dataclasses.dataclass(frozen=True)
class Track:
    """A unit in each result that has it."""
    name: str
    units: list[tuple[Entry, Unit]]


@dataclasses.dataclass(frozen=True)
class Change:
    """Samples of which none lies among those of the result before."""
    track: Track
    measure: str
    before: Entry
    after: Entry
    old: Spread
    new: Spread

    @property
    def factor(self) -> float:
        low, high = sorted((self.old.median, self.new.median))
        return high / low if low else math.inf


@dataclasses.dataclass(frozen=True)
class History:
    label: str
    entries: list[Entry]
    tracks: list[Track]

    @property
    def timed(self) -> bool:
        return self.label != EMULATED

    @property
    def kernels(self) -> dict[int, str]:
        """Returns by each entry's number what tells its kernels from those of the others. Empty if
        all are the same."""
        by_sha256 = {entry.number: entry.kernel_sha256 for entry in self.entries}
        by_release = {entry.number: entry.kernel for entry in self.entries}
        different = len(set(by_sha256.values()))
        if different == 1:
            return {}
        return by_release if len(set(by_release.values())) == different else by_sha256

    @property
    def commits_differ(self) -> bool:
        return len({entry.commit for entry in self.entries}) > 1


def tracks_of(entries: list[Entry]) -> list[Track]:
    """Follows each unit. That of another plan, or of another machine, is another unit, and its
    name says so where the shorter one would not do."""
    found: dict[tuple, list[tuple[Entry, Unit]]] = {}
    for entry in entries:
        for unit in entry.result["units"]:
            key = (entry.result["name"], *(unit[field] for field in SAME))
            found.setdefault(key, []).append((entry, unit))
    names = [ident for _, ident, *_ in found]
    if len(set(names)) < len(names):
        names = [f"{plan}: {ident}" for plan, ident, *_ in found]
    if len(set(names)) < len(names):
        names = [f"{plan}: {ident} ({', '.join(map(str, machine))})"
                 for plan, ident, *machine in found]
    return [Track(name, units) for name, units in zip(names, found.values())]


def histories(results: list[Result]) -> list[History]:
    """Returns a history for each label, in the order in which they come."""
    by_label: dict[str, list[Entry]] = {}
    for number, result in enumerate(results, 1):
        by_label.setdefault(result["label"], []).append(Entry(number, result))
    return [History(label, entries, tracks_of(entries)) for label, entries in by_label.items()]


def changes(history: History) -> Iterator[Change]:
    """Yields what changed by more than samples of both sides are spread."""
    for track in history.tracks:
        for (before, old_unit), (after, new_unit) in zip(track.units, track.units[1:]):
            for measure in MEASURES:
                old, new = spread_of(old_unit, measure), spread_of(new_unit, measure)
                if old and new and min(old.count, new.count) > 1 and (
                        old.most < new.least or new.most < old.least):
                    yield Change(track, measure, before, after, old, new)


def named(entry: Entry, history: History) -> str:
    """Names a result by what differs: the kernel, or else the commit of parkvmm."""
    if history.kernels:
        return f"{entry.number} (kernel {history.kernels[entry.number]})"
    return f"{entry.number} (parkvmm {entry.commit})" if history.commits_differ else str(
        entry.number)


def sentences(history: History) -> list[str]:
    """Says what the results show, and nothing that their samples do not carry."""
    samples = [sample for track in history.tracks for _, unit in track.units
               for sample in unit["samples"]]
    good = sum(sample["verdict"] == "pass" for sample in samples)
    said = [f"All CPUs came back in {good} of {counted(len(samples), 'kexec')} of "
            f"{counted(len(history.entries), 'result')}."]
    if history.timed:
        found = max(changes(history), key=lambda change: change.factor, default=None)
        said.insert(0, "No time of down, up or teardown changed from one result to the next by "
                    "more than its samples are spread." if found is None else
                    f"The largest change from one result to the next: {found.measure} of "
                    f"{found.track.name} went from {summary.time_of(found.old.median)} in result "
                    f"{named(found.before, history)} to {summary.time_of(found.new.median)} in "
                    f"result {named(found.after, history)}; no sample of one lies among those of "
                    "the other.")
        if len({entry.hosts for entry in history.entries}) > 1:
            said.append("The hosts of these results differ: a change may be theirs.")
    return said


def panels(history: History) -> Markup:
    texts = {entry.number: tick(entry, history) for entry in history.entries}
    across = [(float(place), texts[number]) for place, number in enumerate(sorted(texts))]
    places = {number: float(place) for place, number in enumerate(sorted(texts))}

    def line(track: Track, measure: str) -> plots.Line:
        return plots.Line(track.name, [
            (places[entry.number], f"result {named(entry, history)}", found)
            for entry, unit in track.units if (found := spread_of(unit, measure))], breaks=True)

    return join(plots.plot(measure, [line(track, measure) for track in history.tracks],
                           across, "result", "by result, logarithmic") for measure in MEASURES)


def tick(entry: Entry, history: History) -> str:
    """Returns what stands at the axis: the beginning of what differs."""
    if history.kernels:
        return short_of(history.kernels[entry.number].partition(",")[0])
    return entry.commit.partition(",")[0][:7] if history.commits_differ else str(entry.number)


def short_of(kernel: str) -> str:
    """Returns the commit of a release that has one, as setlocalversion writes it, or else its
    version; of a sha256 its first digits."""
    commit = re.search(r"-g([0-9a-f]{7})[0-9a-f]*", kernel)
    if commit:
        return commit[1]
    return kernel.partition("+")[0][:12] if "." in kernel else kernel[:7]


@dataclasses.dataclass(frozen=True)
class Row:
    entry: Entry
    count: int
    back: str
    bad: bool
    spreads: list[Spread | None]


def rows_of(track: Track) -> list[Row]:
    return [Row(entry, len(unit["samples"]), analysis.back(unit),
                bool(unit["failures"]) or any(sample["verdict"] != "pass"
                                              for sample in unit["samples"]),
                [spread_of(unit, measure) for measure in MEASURES])
            for entry, unit in track.units]


def csv_text(found: Iterable[History]) -> str:
    """Returns a line for each unit of each result, ns."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["label", "unit", "result", "parkvmm_commit", "kernel_release",
                     "kernel_sha256", "kexecs", "cpus_back",
                     *(f"{measure}_{which}_ns" for measure in MEASURES
                       for which in ("median", "least", "most"))])
    for history in found:
        for track in history.tracks:
            for row in rows_of(track):
                writer.writerow([
                    history.label, track.name, row.entry.number, row.entry.commit,
                    row.entry.kernel, row.entry.kernel_sha256, row.count, row.back,
                    *(value for one in row.spreads for value in (
                        (one.median, one.least, one.most) if one and history.timed
                        else ("", "", "")))])
    return file.getvalue()


def article(history: History, number: int) -> Markup:
    said = sentences(history)
    insisted = any(summary.is_insisted_on(entry.result) for entry in history.entries)
    return filled(
        "history.html.j2", ident=f"h{number + 1}", title=title(history), answer=said[0],
        more=" ".join(said[1:]), label=history.label,
        label_worth=summary.WORTH[history.label] + summary.INSISTED * insisted,
        label_warning=insisted or not history.timed, entries=history.entries,
        tracks=[(track.name, rows_of(track)) for track in history.tracks], timed=history.timed,
        measures=MEASURES, panels=panels(history) if history.timed else None,
        long=sum(len(track.units) for track in history.tracks) > LONG,
        data=filled("data.html.j2", ident=f"h{number + 1}-data", files=[("csv", "history.csv")],
                    note="What the table holds, of all labels, in ns. The page holds no samples: "
                         "tools/report makes a page with all samples of each file alone."))


def title(history: History) -> str:
    return ", ".join(dict.fromkeys(entry.result["name"] for entry in history.entries))
