# SPDX-License-Identifier: Apache-2.0
"""`--format NAME[:FILE]` of the tools: the same words as those of `vmm run`."""

import argparse
import dataclasses
import os
import pathlib
import sys
from collections.abc import Mapping

from parkvmm import outputs
from parkvmm.cases import formats
from parkvmm.cases.cases import Suite
from parkvmm.failure import USAGE, Failure

NAMES = ("text", "json", "junit", "ktap", "tap", "github")
MAKERS = {"text": formats.text_lines, "json": formats.json_text, "junit": formats.junit,
          "ktap": formats.ktap, "tap": formats.tap}


@dataclasses.dataclass(frozen=True)
class Format:
    name: str
    path: pathlib.Path | None = None  # None: stdout

    def __str__(self) -> str:
        return f"{self.name}:{self.path}" if self.path else self.name


def parse(text: str, folder: pathlib.Path | None = None) -> Format:
    """Reads "junit:out.xml" or "junit". A file is relative to a folder: the caller's."""
    name, colon, path = text.partition(":")
    if name not in NAMES:
        raise Failure(USAGE, f"--format: {name} is not one of {'|'.join(NAMES)}; say junit:FILE, "
                      "for example")
    if colon and not path:
        raise Failure(USAGE, f"--format: {text} names no file; say {name} or {name}:FILE")
    if path in ("", "-"):
        return Format(name)
    return Format(name, (folder or pathlib.Path.cwd()) / path)


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", action="append", default=[], metavar="NAME[:FILE]",
        help=f"how it went, in words of a CI system: {', '.join(NAMES)}; to stdout without a "
        "file; may be repeated")


def parse_all(texts: list[str], folder: pathlib.Path | None = None) -> list[Format]:
    """Reads them, and refuses what could not be written at the end."""
    found = [parse(text, folder) for text in texts]
    paths = [each.path for each in found if each.path]
    for path in paths:
        if paths.count(path) > 1:
            raise Failure(USAGE, f"--format: two are one file, and each replaces it: {path}")
        try:
            outputs.check(str(path))
        except Failure as failure:
            raise Failure(failure.status, f"--format: {failure}") from None
    return found


def write(format_: Format, suites: list[Suite], verdict: str,
          environment: Mapping[str, str] = os.environ) -> None:
    if format_.name != "github":
        text = MAKERS[format_.name](suites)
        if format_.path:
            sys.stdout.flush()  # It may be the same file.
            outputs.write(str(format_.path), text.encode())
        else:
            sys.stdout.write(text)
        return
    sys.stdout.write(formats.annotations(suites))
    step = environment.get("GITHUB_STEP_SUMMARY", "")
    path = format_.path or (pathlib.Path(step) if step else None)
    if path:
        with open(path, "a") as file:
            file.write(formats.summary(suites, verdict))


def write_all(wanted: list[Format], suites: list[Suite], verdict: str) -> list[str]:
    """Writes each format. Returns a line for each that could not be written."""
    lost = []
    for format_ in wanted:
        try:
            write(format_, suites, verdict)
            sys.stdout.flush()
        except OSError as error:
            lost.append(f"cannot write --format {format_}: {error.strerror or error}")
    return lost
