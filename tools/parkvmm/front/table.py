# SPDX-License-Identifier: Apache-2.0
"""What tools/vmm knows of the words of `vmm`: which there are, and which are files.

This is the only place that says so. tests/tools/test_front_door.py compares it with
vmm/cli/run_options.cc and vmm/cli/command_line.cc.
"""

import dataclasses
import enum

COMMANDS = ("doctor", "run")


class Kind(enum.Enum):
    FLAG = "takes no value"
    VALUE = "takes a value"
    INPUT = "takes a file that is read"
    ROOT = "takes a file or a folder that is read"
    CONFIG = "takes a file that is read and may name others"
    STREAM = "takes a file that is written bit by bit"
    WHOLE = "takes a file that is written whole or not at all"
    FORMAT = "takes a format, and perhaps a file that is written in it"


INPUTS = (Kind.INPUT, Kind.ROOT, Kind.CONFIG)
OUTPUTS = (Kind.STREAM, Kind.WHOLE, Kind.FORMAT)


@dataclasses.dataclass(frozen=True)
class Option:
    names: tuple[str, ...]  # a word without hyphens stands for the first word that is no option
    kind: Kind

    @property
    def key(self) -> str:
        """Its name in a file of --config."""
        long = [name for name in self.names if name.startswith("--")]
        return (long or self.names)[0].removeprefix("--")


KERNEL = Option(("kernel",), Kind.INPUT)
OPTIONS = (
    KERNEL,
    Option(("-h", "--help"), Kind.FLAG),
    Option(("-i", "--initrd"), Kind.INPUT),
    Option(("--rootfs",), Kind.ROOT),
    Option(("-p", "--params", "--append"), Kind.VALUE),
    Option(("-c", "--cpus", "--smp"), Kind.VALUE),
    Option(("-m", "--memory"), Kind.VALUE),
    Option(("--psci",), Kind.VALUE),
    Option(("--firmware",), Kind.VALUE),
    Option(("--park",), Kind.VALUE),
    Option(("--park-base",), Kind.VALUE),
    Option(("--park-node",), Kind.VALUE),
    Option(("--idle-states",), Kind.FLAG),
    Option(("--strict",), Kind.FLAG),
    Option(("--allow-splat",), Kind.VALUE),
    Option(("--symbols",), Kind.INPUT),
    Option(("--raw",), Kind.FLAG),
    Option(("--seed",), Kind.VALUE),
    Option(("--timeout",), Kind.VALUE),
    Option(("--on-reset",), Kind.VALUE),
    Option(("--panic-grace",), Kind.VALUE),
    Option(("--expect-kexecs",), Kind.VALUE),
    Option(("--kexec",), Kind.VALUE),
    Option(("--next",), Kind.INPUT),
    Option(("--max",), Kind.VALUE),
    Option(("--bisect",), Kind.FLAG),
    Option(("--tty",), Kind.VALUE),
    Option(("--arm",), Kind.VALUE),
    Option(("--label",), Kind.VALUE),
    Option(("--events",), Kind.STREAM),
    Option(("--results",), Kind.WHOLE),
    Option(("--dump-dtb",), Kind.WHOLE),
    Option(("--format",), Kind.FORMAT),
    Option(("--seccomp",), Kind.VALUE),
    Option(("--config",), Kind.CONFIG),
    Option(("--dry-run",), Kind.FLAG),
    Option(("--skip-if-no-kvm",), Kind.FLAG),
    Option(("-v", "--verbose"), Kind.FLAG),
)
BY_NAME = {name: option for option in OPTIONS for name in option.names}
