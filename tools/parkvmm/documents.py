# SPDX-License-Identifier: Apache-2.0
"""Reads JSON documents that a run, a user or another machine left.

json.load() throws in five ways, and takes what is no JSON: NaN, and halves of characters that no
file can hold.
"""

import json
import pathlib
from typing import Any

from parkvmm.failure import DIFFERS, Failure


def refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number")


def parse(data: bytes, name: str, status: int = DIFFERS) -> Any:
    """Returns the document. The Failure says in a line why it is none."""
    try:
        document = json.loads(data.decode(), parse_constant=refuse_constant)
        json.dumps(document, ensure_ascii=False).encode()
    except RecursionError:
        raise Failure(status, f"{name} is no JSON of ours: it is nested too deeply") from None
    except UnicodeError:
        raise Failure(status, f"{name} is no JSON: it is not UTF-8") from None
    except ValueError as error:
        why = str(error).partition(";")[0]
        raise Failure(status, f"{name} is no JSON: {why}") from None
    return document


def load(path: pathlib.Path, status: int = DIFFERS) -> Any:
    """Reads a file; likewise. An OSError is the caller's to word."""
    return parse(path.read_bytes(), str(path), status)
