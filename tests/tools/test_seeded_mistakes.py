# SPDX-License-Identifier: Apache-2.0
"""tools/dev/seeded-mistakes: its patches apply to the sources as they are."""

import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEADLINE = 60  # seconds; it takes a tenth of one


def test_every_mistake_can_still_be_made() -> None:
    done = subprocess.run(["tools/dev/seeded-mistakes", "--check"], cwd=ROOT, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE,
                          check=False)
    assert done.returncode == 0, done.stdout
    assert " apply " in done.stdout
