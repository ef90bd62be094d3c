# SPDX-License-Identifier: Apache-2.0
"""Damages JSON documents: a seeded generator, the same document for the same seed.

A document is cut, or has bytes changed, as a disk or a network leaves it; or it is still JSON and
says something else, as a person or another program may have it.
"""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

Seal = Callable[[Any], Any]  # makes a changed document one that looks unchanged

DEEP = 100_000  # brackets; Python's own limit is far less
DIGITS = "9" * 5000  # more than Python turns into a number
TEXTS = ["", " ", "\0", "\x1b[31mred", "a\nb", "\x85", "\ufffe", "\ud800", "<script>", "`|*", "ä",
         "x" * 2000, "../../x", "NaN", "-", "sha256"]
NUMBERS = [0, 1, -1, 2, 255, 1 << 31, 1 << 63, -(1 << 64), 10 ** 40, 0.5, 1e308,
           float("nan"), float("inf"), float("-inf")]


def deep_list(depth: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(depth):
        nested = [nested]
    return nested


def value(rng: random.Random) -> Any:
    """Returns a value that nobody expects."""
    return rng.choice([
        lambda: rng.choice(TEXTS), lambda: rng.choice(NUMBERS), lambda: None, lambda: True,
        lambda: [], lambda: {}, lambda: deep_list(rng.randrange(1, 60)),
        lambda: [rng.choice(NUMBERS)], lambda: {rng.choice(TEXTS): rng.choice(NUMBERS)}])()


def places(document: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each container and key of a document."""
    keys = (list(document) if isinstance(document, dict)
            else range(len(document)) if isinstance(document, list) else ())
    for key in keys:
        yield document, key
        yield from places(document[key])


def similar(rng: random.Random, old: Any) -> Any:
    """Returns another value of the same kind, which a schema may well take."""
    if isinstance(old, bool) or old is None:
        return rng.choice([None, True, False])
    if isinstance(old, int):
        return rng.choice([0, 1, old + 1, old * 2, -old, rng.randrange(1 << 40), 1 << 62])
    if isinstance(old, str):
        return rng.choice([*TEXTS, old + rng.choice(TEXTS), old.upper()])
    if isinstance(old, list):
        return rng.choice([[], old * 2, old[:1], old[::-1]])
    return {key: old[key] for key in rng.sample(sorted(old), len(old))}


def change(rng: random.Random, document: Any) -> None:
    """Changes one place of a document."""
    found = list(places(document))
    if not found:
        return
    container, key = rng.choice(found)
    what = rng.randrange(12)
    if what >= 6:
        container[key] = similar(rng, container[key])
    elif what == 0:
        del container[key]
    elif what == 1 and isinstance(container, dict):
        container[rng.choice(TEXTS)] = container.pop(key)
    elif what == 2 and isinstance(container, list):
        container.extend(container * rng.randrange(1, 3))
    elif what == 3:
        other, its_key = rng.choice(found)
        taken = json.dumps(other.get(its_key) if isinstance(other, dict) else
                           other[its_key] if its_key < len(other) else None)
        container[key] = json.loads(taken)
    else:
        container[key] = value(rng)


def changed(rng: random.Random, text: str, seal: Seal) -> bytes:
    document = json.loads(text)
    for _ in range(rng.randrange(1, 4)):
        change(rng, document)
    if rng.randrange(4):
        document = seal(document)
    return json.dumps(document, ensure_ascii=rng.random() < 0.5).encode(errors="surrogatepass")


def broken(rng: random.Random, text: str) -> bytes:
    """Returns bytes that may be no JSON, no UTF-8, or no end."""
    data = bytearray(text.encode())
    at = rng.randrange(len(data) + 1)
    what = rng.randrange(9)
    if what == 0:
        return bytes(data[:at])
    if what == 1:
        data[at:at + 1] = rng.randbytes(rng.randrange(1, 9))
    elif what == 2:
        end = min(len(data), at + rng.randrange(1, 200))
        data[at:at] = data[at:end]
    elif what == 3:
        del data[at:at + rng.randrange(1, 200)]
    elif what == 4:
        return rng.choice([b"[", b'{"a":']) * DEEP
    elif what == 5:
        return text.replace("0", DIGITS, 1).encode()
    elif what == 6:
        return b"\xef\xbb\xbf" + data
    elif what == 7:
        return text.encode("utf-16")
    else:
        return rng.choice([b"", b"null", b"[]", b"{}", b"\0" * 100, DIGITS.encode(), b'"\\ud800"'])
    return bytes(data)


def damaged(text: str, seed: int, seal: Seal = lambda document: document) -> bytes:
    """Returns what has become of a document."""
    rng = random.Random(seed)
    return broken(rng, text) if rng.randrange(4) == 0 else changed(rng, text, seal)
