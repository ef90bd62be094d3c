# SPDX-License-Identifier: Apache-2.0
"""Checks values of --format for tools/demo, which is a shell script, before anything is built.

    python3 -m parkvmm.cases.check FORMAT...
"""

from parkvmm.cases import output
from parkvmm.failure import end_with


def main(argv: list[str]) -> int:
    output.parse_all(argv)
    return 0


if __name__ == "__main__":
    end_with("demo", main)
