# SPDX-License-Identifier: Apache-2.0
"""What every Linux guest is run with."""

# The next kernel of a kexec takes its initramfs from the one that runs: retain_initrd.
PARAMS = "console=ttyAMA0 quiet panic=-1 retain_initrd"


def guest_deadline(kexecs: int, cpus: int) -> int:
    """Returns the seconds, on the guest's clock, for a boot and its kexecs."""
    return 240 + kexecs * (60 + 4 * cpus)


def host_deadline(kexecs: int, cpus: int) -> int:
    """Returns the seconds that a host may take for the same, its own boot included."""
    return 600 + kexecs * (90 + 12 * cpus)
