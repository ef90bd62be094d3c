# SPDX-License-Identifier: Apache-2.0
"""Labels of results: what kind of host the times come from."""

VIRTUAL_TIME = "kvm-on-tcg-icount"
EMULATED = "kvm-on-tcg"  # Its times mean nothing; counts and verdicts do.

# Each label, and what its times are worth.
WORTH = {
    "kvm": "Times are real: an arm64 machine's own KVM.",
    "kvm-on-vm": "The wall clock of a machine that is itself virtual: times include those of the "
                 "hypervisor below it, and of its other guests.",
    EMULATED: "The wall clock of an emulated host: times are worth nothing, counts and "
              "verdicts are.",
    VIRTUAL_TIME: "The virtual time of an emulated host. It is exact: instructions executed "
                  "plus timer waits. No caches, no DRAM; all CPUs share one clock, so "
                  "work done in parallel adds up.",
}
