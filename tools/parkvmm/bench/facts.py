# SPDX-License-Identifier: Apache-2.0
"""Names what the VMM has found about a kexec. It alone finds it: vmm/measure.

A sample is a kexec as `vmm run` writes it (docs/schemas/result.schema.json). No
phase, moment or share is computed here; what follows is arithmetic of the whole.
"""

from typing import Any, Iterator

PHASES = ("prepare", "down", "jump", "early", "up", "userspace")
# Who had a moment of a phase. Where several did, the first of them has it.
WHO = ("firmware", "vmm", "polling", "kernel")

Sample = dict[str, Any]


def places(sample: Sample) -> Iterator[tuple[str, int, int]]:
    """Yields each phase, where it begins and where it ends, in ns since begin_ns."""
    at = 0
    for name in PHASES:
        ns = sample["phase_ns"][name]
        if ns is not None:
            yield name, at, at + ns
            at += ns
