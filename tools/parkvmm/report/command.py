# SPDX-License-Identifier: Apache-2.0
"""Turns results of tools/bench or of vmm run into one HTML page, or into Markdown.

    tools/report RESULT.json... [--html FILE] [--markdown FILE] [--screenshots DIR]
                 [--result FILE] [--svg FILE]
    tools/report RESULTS.json [--events EVENTS.jsonl] [--html FILE] ...

The page needs nothing but itself: it opens from disk, asks for nothing, and
holds the raw data. Without an option it is report.html beside RESULT.json; of
several results, history.html beside the first. The Markdown is short, for a CI
summary; --svg draws the lanes of two units, or of a run, as one picture. FILE
may be - for stdout. The same results give the same bytes.
--screenshots gets a browser (Debian's chromium) and takes a picture of each
section, light and dark, and of a phone.

What vmm run wrote has a page of its own: each boot and kexec, the verdict, and
what was found about its CPUs; --events adds what the guest called.

Several results make a history: how down, up and teardown of each unit went from
one to the next, in the order in which they are named; results hold no date.
Different labels are different pictures.

Shards of one measurement (tools/bench --shard) become one result again, which
--result writes; that of all shards is what one machine would have written.

Exit status: 0; 1 a result cannot be read or was changed, or a shard is missing;
2 usage; 69 no browser could be had.
"""

import argparse
import pathlib
import sys
import tempfile
from typing import Any

from parkvmm import outputs
from parkvmm.bench import results
from parkvmm.failure import DIFFERS, USAGE, Failure, end_with
from parkvmm.guest import arms
from parkvmm.report import events, inputs, kexecs, page, short


def write(text: str, path: pathlib.Path) -> None:
    try:
        if str(path) == "-":
            sys.stdout.buffer.write(text.encode())
        else:
            sys.stdout.flush()  # It may be the same file.
            outputs.write(str(path), text.encode())
    except OSError as error:
        raise Failure(USAGE, f"{path}: {error.strerror}") from None


def parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/report", usage="tools/report RESULT.json... [OPTION]...", description=__doc__,
        allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", type=pathlib.Path, metavar="RESULT.json")
    parser.add_argument("--events", type=pathlib.Path, metavar="EVENTS.jsonl")
    parser.add_argument("--html", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--markdown", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--result", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--svg", type=pathlib.Path, metavar="FILE")
    parser.add_argument("--screenshots", type=pathlib.Path, metavar="DIR")
    return parser.parse_args(argv)


def screenshots(html: str, folder: pathlib.Path) -> None:
    arms.build("tools/setup", "--quiet", "report")
    from parkvmm.report import browser  # It imports what that has installed.

    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary) / "report.html"
        write(html, file)
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in browser.screenshots(file):
            (folder / f"{name}.png").write_bytes(picture)


def page_of(documents: list[dict[str, Any]], loaded: list[results.Result],
            events_of_run: pathlib.Path | None) -> str:
    """Returns the page of one run, of a result, or of a history."""
    first = documents[0]
    is_run = len(documents) == 1 and first["kind"] == results.RUN
    if events_of_run and not is_run:
        raise Failure(USAGE, "--events goes with the results.json of one vmm run, and nothing else")
    if is_run:
        return page.render_run(first, events.read(events_of_run, first) if events_of_run else None)
    return page.render(loaded[0]) if len(loaded) == 1 else page.render_history(loaded)


def main(argv: list[str]) -> int:
    options = parse(argv)
    documents = [results.read(path) for path in options.results]
    loaded, missing = inputs.joined(options.results, documents)
    if options.result and len(loaded) > 1:
        raise Failure(USAGE, f"--result: these are {len(loaded)} measurements, not shards of one")
    if options.result:
        write(results.text_of(loaded[0]), options.result)
    if not (options.html or options.markdown or options.screenshots or options.result
            or options.svg):
        options.html = options.results[0].with_name(
            "report.html" if len(loaded) == 1 else "history.html")
    html = page_of(documents, loaded, options.events)
    if options.html:
        write(html, options.html)
        say(f"written: {options.html}")
    if options.svg:
        if len(loaded) > 1:
            raise Failure(USAGE, f"--svg: these are {len(loaded)} results; it draws one")
        write(kexecs.lanes_svg(documents[0] if len(documents) == 1 else loaded[0]), options.svg)
    if options.screenshots:
        screenshots(html, options.screenshots.absolute())
    if options.markdown:
        write(short.markdown(loaded[0]) if len(loaded) == 1 else short.of_history(loaded),
              options.markdown)
    for line in missing:
        say(line)
    return DIFFERS if missing else 0


def say(message: str) -> None:
    print(f"report: {message}", file=sys.stderr)


if __name__ == "__main__":
    end_with("report", main)
