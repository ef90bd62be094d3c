# SPDX-License-Identifier: Apache-2.0
"""Tells what several files are: shards of one measurement, which become one result again, or
results of several, which are a history."""

import pathlib
from typing import Any

from parkvmm.bench import shards
from parkvmm.bench.results import Result, of_document
from parkvmm.failure import USAGE, Failure


def joined(paths: list[pathlib.Path],
           documents: list[dict[str, Any]]) -> tuple[list[Result], list[str]]:
    """Returns the results, with shards put together, and a line for each missing shard.
    Raises Failure if there are both shards and whole results: which of them a picture would be
    of is not clear."""
    results = list(map(of_document, documents))
    parts = [number for number, result in enumerate(results) if "shard" in result]
    wholes = [number for number, result in enumerate(results) if "shard" not in result]
    if parts and wholes:
        shard = results[parts[0]]["shard"]
        raise Failure(USAGE, f"{paths[parts[0]]} is shard {shard['index']} of {shard['of']}, and "
                      f"{paths[wholes[0]]} is a whole result: name either the shards of a "
                      "measurement, or whole results, which make a history")
    return shards.joined(results)
