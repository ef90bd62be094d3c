# SPDX-License-Identifier: Apache-2.0
"""What every Linux guest is run with."""

# The next kernel of a kexec takes its initramfs from the one that runs: retain_initrd.
PARAMS = "console=ttyAMA0 quiet panic=-1 retain_initrd"

# What Debian's kernel does on its way to init that has nothing to do with its CPUs: self-tests of
# its ciphers, its certificates, what bpf programs may call, random numbers from jitter, disks that
# encrypt themselves.
UNWANTED = ("bpf_dummy_struct_ops_init", "bpf_kfunc_init", "bpf_sockmap_iter_init",
            "bpf_tcp_ca_kfunc_init", "jent_mod_init", "load_system_certificate_list",
            "sed_opal_init")
# Leaves it out. A kernel that has none of it takes no notice.
SHORT_BOOT = f"cryptomgr.notests initcall_blacklist={','.join(UNWANTED)}"


def guest_deadline(kexecs: int, cpus: int) -> int:
    """Returns the seconds, on the guest's clock, for a boot and its kexecs."""
    return 240 + kexecs * (60 + 4 * cpus)


def host_deadline(kexecs: int, cpus: int) -> int:
    """Returns the seconds that a host may take for the same, its own boot included."""
    return 600 + kexecs * (90 + 12 * cpus)
