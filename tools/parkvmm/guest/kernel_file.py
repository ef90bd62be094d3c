# SPDX-License-Identifier: Apache-2.0
"""Tells from a kernel's file alone whether guest-init can kexec into it.

Reads the Image header, Linux's version, and the configuration: the one inside
the Image (CONFIG_IKCONFIG), or `config-RELEASE` or `config` beside it. What
cannot be known is not complained of.
"""

import pathlib
import re
import struct
import zlib

OLDEST = (5, 10)  # guest-init was tried from here on
SHOWS_INITRD = (6, 8)  # before that, guest-init reads it from /proc/kcore
HEADER_BYTES = 64
TWO_MIB, GIB = 2 << 20, 1 << 30
MAX_CONFIG_BYTES = 16 << 20
PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2",
          b"\x02\x21\x4c\x18": "lz4", b"\x04\x22\x4d\x18": "lz4"}
# Any option of a line will do.
NEEDED = [("KEXEC", "KEXEC_FILE"), ("BLK_DEV_INITRD",), ("DEVTMPFS",), ("DEVMEM",),
          ("SERIAL_AMBA_PL011_CONSOLE",)]
NEEDED_BEFORE_6_8 = [("PROC_KCORE",)]


def wrong_format(image: bytes) -> str:
    """Says what the file is instead of an arm64 Image."""
    for magic, name in PACKED.items():
        if image.startswith(magic):
            return f"is packed with {name}; unpack it, kexec takes a plain Image"
    if image[4:8] == b"zimg":
        return "is an EFI zboot file; kexec takes the plain Image, arch/arm64/boot/Image"
    if image.startswith(b"\x7fELF"):
        return "is an ELF file; kexec takes the plain Image, arch/arm64/boot/Image"
    if len(image) < HEADER_BYTES or image[56:60] != b"ARMd":
        return "is no arm64 Image"
    return ""


def end_of_sections(image: bytes) -> int:
    """Returns where the last section of the EFI header ends, or 0 without one."""
    place, = struct.unpack_from("<I", image, 60)
    if image[:2] != b"MZ" or image[place:place + 4] != b"PE\0\0":
        return 0
    count, optional = struct.unpack_from("<2xH12xH", image, place + 4)
    first = place + 24 + optional
    if first + 40 * count > len(image):
        return first + 40 * count
    return max((sum(struct.unpack_from("<II", image, first + 40 * number + 16))
                for number in range(count)), default=0)


def damage(image: bytes) -> str:
    """Says what is wrong with an Image, by its headers."""
    offset, size, flags = struct.unpack_from("<QQQ", image, 8)
    if flags & 1:
        return "is big-endian"
    if offset >= TWO_MIB or not len(image) <= size <= GIB:
        return f"has a damaged header: {size} bytes of memory for a file of {len(image)}"
    try:
        end = end_of_sections(image)
    except struct.error:
        end = len(image) + 1
    return "is cut short" if end > len(image) else ""


def release_of(image: bytes) -> str:
    """Returns "6.1.0-56-rt-arm64", or nothing if the file does not say it."""
    found = re.search(rb"Linux version (\d+\.\d+\S*) \(", image)
    return found.group(1).decode(errors="replace") if found else ""


def embedded_config(image: bytes) -> str:
    begin = image.find(b"IKCFG_ST\x1f\x8b")
    if begin < 0:
        return ""
    try:
        text = zlib.decompressobj(31).decompress(image[begin + 8:], MAX_CONFIG_BYTES)
    except zlib.error:
        return ""
    return text.decode(errors="replace")


def config_of(path: pathlib.Path, image: bytes, release: str) -> tuple[str, str]:
    """Returns where the configuration was found, and its text."""
    if text := embedded_config(image):
        return "the configuration in it", text
    for name in (f"config-{release}", "config"):
        beside = path.with_name(name)
        if beside.is_file():
            return str(beside), beside.read_text(errors="replace")
    return "", ""


def missing_option(config: str, version: tuple[int, ...]) -> str:
    enabled = set(re.findall(r"^CONFIG_(\w+)=y$", config, re.MULTILINE))
    needed = NEEDED + (NEEDED_BEFORE_6_8 if version < SHOWS_INITRD else [])
    return next((" or ".join(f"CONFIG_{name}" for name in names) for names in needed
                 if not enabled.intersection(names)), "")


def complaint(path: pathlib.Path) -> str:
    """Returns why no guest of ours can kexec into it, as the end of a sentence
    that begins with the file's name; nothing if there is no reason."""
    image = path.read_bytes()
    if wrong := wrong_format(image) or damage(image):
        return wrong
    release = release_of(image)
    if not release:
        return ""
    version = tuple(map(int, re.findall(r"\d+", release)[:2]))
    if version < OLDEST:
        return f"is Linux {release}; guest-init works from {'.'.join(map(str, OLDEST))} on"
    where, config = config_of(path, image, release)
    option = missing_option(config, version) if config else ""
    return f"lacks {option}, by {where}" if option else ""
