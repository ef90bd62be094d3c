# SPDX-License-Identifier: Apache-2.0
"""Reads the words of `vmm run` as the program does, as far as it takes to find the files."""

import dataclasses
import difflib
import json
import os
from collections.abc import Iterator
from typing import Any

from parkvmm.failure import USAGE, Failure
from parkvmm.front.table import BY_NAME, KERNEL, OPTIONS, Kind, Option

CONFIG_LIMIT = 1 << 20  # bytes, as in vmm/cli/run_options.cc
SEE = "see vmm run --help"


@dataclasses.dataclass
class Value:
    """An option and what it was given."""
    option: Option
    text: str
    word: int | None  # its number; None: it stands in a file of --config
    prefix: str = ""  # what precedes it in its word

    @property
    def name(self) -> str:
        return "KERNEL" if self.option is KERNEL else f"--{self.option.key}"


def value_of(option: Option, text: str, word: int | None, prefix: str = "") -> Value:
    """Returns a value whose text is a file, or nothing, if the option takes a format."""
    if option.kind is Kind.FORMAT:
        name, colon, text = text.partition(":")
        prefix += name + colon
    return Value(option, text, word, prefix)


def unknown(word: str) -> Failure:
    near = difflib.get_close_matches(word, [name for name in BY_NAME if name[0] == "-"], 1)
    hint = f"did you mean {near[0]}?" if near else SEE
    return Failure(USAGE, f"unknown option {word}; {hint}")


def values_of(words: list[str]) -> list[Value]:
    """Returns what the words say. Those behind `--` are a command for the guest."""
    found: list[Value] = []
    number = 0

    def take(option: Option, name: str, attached: str | None, prefix: str) -> None:
        nonlocal number
        if attached is None:
            number += 1
            if number >= len(words):
                raise Failure(USAGE, f"{name} wants a value; {SEE}")
            found.append(value_of(option, words[number], number))
        else:
            found.append(value_of(option, attached, number, prefix))

    while number < len(words) and words[number] != "--":
        word = words[number]
        if word.startswith("--"):
            name, equals, text = word.partition("=")
            option = known(name)
            if option.kind is Kind.FLAG:
                found.append(Value(option, text or "true", number))
            else:
                take(option, name, text if equals and text else None, name + equals)
        elif word.startswith("-") and word != "-":
            at = 1  # Flags may share a hyphen: -vi FILE
            while at < len(word):
                name = f"-{word[at]}"
                option = known(name)
                at += 1
                if option.kind is Kind.FLAG:
                    found.append(Value(option, "true", number))
                    continue
                take(option, name, word[at:] or None, word[:at])
                break
        elif any(value.option is KERNEL for value in found):
            raise Failure(USAGE, f"{word}: there is a kernel already; {SEE}")
        else:
            found.append(Value(KERNEL, word, number))
        number += 1
    return found


def known(name: str) -> Option:
    if name not in BY_NAME:
        raise unknown(name)
    return BY_NAME[name]


def said(values: list[Value], name: str) -> str | None:
    """Returns what an option was given last."""
    return next((value.text for value in reversed(values)
                 if name in value.option.names), None)


def values_of_config(path: str, values: list[Value]) -> Iterator[Value]:
    """Yields what a file of --config adds to the command line, which wins. What is wrong with
    the file is for vmm to say."""
    try:
        with open(path, "rb") as file:
            config: Any = json.loads(file.read(CONFIG_LIMIT))
    except (OSError, ValueError, RecursionError):
        return
    if not isinstance(config, dict):
        return
    for option in OPTIONS:
        given = config.get(option.key)
        if said(values, option.names[0]) is not None:
            continue
        for text in given if isinstance(given, list) else [given]:
            if isinstance(text, str) and text:
                yield value_of(option, text, None)


def has_command(words: list[str]) -> bool:
    """Whether the guest runs a command."""
    return "--" in words[:-1]


def settle_tty(words: list[str], values: list[Value], is_terminal: bool) -> bool:
    """Says whether the command has a terminal, if that is left open: the emulated host's vmm
    cannot know. Returns whether it has."""
    value = next((value for value in reversed(values) if "--tty" in value.option.names), None)
    if value and value.text != "auto":
        return value.text == "on"
    text = "on" if is_terminal else "off"
    if value and value.word is not None:
        replaced(words, value, text)
    else:
        words[0:0] = [f"--tty={text}"]
    return is_terminal


def replaced(words: list[str], value: Value, text: str) -> None:
    """Puts another text in the place of a value."""
    if value.word is None:
        raise Failure(USAGE, f"{value.text} in the file of --config cannot be had in the emulated "
                      f"host; say {value.name} on the command line")
    words[value.word] = value.prefix + text


def absolute(text: str) -> str:
    """Returns a path from the root on. What `..` leads to behind a link stays as it is."""
    return os.path.join(os.getcwd(), text)
