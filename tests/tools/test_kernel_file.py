# SPDX-License-Identifier: Apache-2.0
"""What a kernel's file says, and that the bench reads it before it builds."""

import gzip
import os
import pathlib
import struct
import subprocess
import sys

import pytest
from parkvmm.guest import kernel_file

ROOT = pathlib.Path(__file__).resolve().parents[2]

MIB = 1 << 20
GOOD_CONFIG = ("CONFIG_KEXEC=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_DEVTMPFS=y\nCONFIG_DEVMEM=y\n"
               "CONFIG_SERIAL_AMBA_PL011_CONSOLE=y\nCONFIG_PROC_KCORE=y\n")


def image(release: str = "6.1.0-56-rt-arm64", *, offset: int = 0, size: int = 4 * MIB,
          flags: int = 0xa, sections: tuple[tuple[int, int], ...] = ((64, 4032),),
          config: str = "") -> bytes:
    """An Image of 4 KiB with an EFI header, and perhaps its configuration."""
    pe = b"PE\0\0" + struct.pack("<HH12xHH", 0xaa64, len(sections), 0, 0)
    table = b"".join(struct.pack("<8xIIII16x", length, start, length, start)
                     for start, length in sections)
    head = b"MZ" + bytes(6) + struct.pack("<QQQ", offset, size, flags) + bytes(24)
    body = head + b"ARMd" + struct.pack("<I", 64) + pe + table
    if release:
        body += f"Linux version {release} (builder@machine) #1 SMP\n".encode()
    if config:
        body += b"IKCFG_ST" + gzip.compress(config.encode(), mtime=0) + b"IKCFG_ED"
    return body.ljust(4096, b"\0")


@pytest.fixture
def complaint(tmp_path):
    def of(content: bytes, **beside: str) -> str:
        path = tmp_path / "Image"
        path.write_bytes(content)
        for name, text in beside.items():
            (tmp_path / name.replace("config_", "config-")).write_text(text)
        return kernel_file.complaint(path)
    return of


@pytest.mark.parametrize("content", [
    image(), image("5.10.0-32-cloud-arm64"), image("7.3.4+deb13-cloud-arm64"),
    image(release=""), image(config=GOOD_CONFIG), image(sections=()),
    image(config=GOOD_CONFIG.replace("KEXEC=y", "KEXEC_FILE=y")),
    image("6.8.1", config=GOOD_CONFIG.replace("CONFIG_PROC_KCORE=y\n", "")),
])
def test_nothing_is_wrong_with_a_good_kernel(complaint, content: bytes) -> None:
    assert complaint(content) == ""


@pytest.mark.parametrize("content, words", [
    (b"", "is no arm64 Image"),
    (image()[:63], "is no arm64 Image"),
    (b"#!/bin/sh\n".ljust(4096), "is no arm64 Image"),
    (gzip.compress(image(), mtime=0), "is packed with gzip; unpack it"),
    (b"\x28\xb5\x2f\xfd" + bytes(100), "is packed with zstd; unpack it"),
    (b"MZ\0\0zimg" + bytes(100), "is an EFI zboot file"),
    (b"\x7fELF" + bytes(100), "is an ELF file"),
    (image(flags=0xb), "is big-endian"),
    (image(size=4095), "has a damaged header"),
    (image(size=2 << 30), "has a damaged header"),
    (image(offset=2 * MIB), "has a damaged header"),
    (image(sections=((64, 64), (4000, 97))), "is cut short"),
    (image()[:90], "is cut short"),
    (image(sections=((64, 64),) * 200)[:4096], "is cut short"),
    (image("5.9.16"), "is Linux 5.9.16; guest-init works from 5.10 on"),
    (image("4.19.0-27-arm64"), "is Linux 4.19.0-27-arm64"),
    (image(config=GOOD_CONFIG.replace("CONFIG_KEXEC=y", "# CONFIG_KEXEC is not set")),
     "lacks CONFIG_KEXEC or CONFIG_KEXEC_FILE, by the configuration in it"),
    (image(config=GOOD_CONFIG.replace("DEVMEM=y", "DEVMEM=m")), "lacks CONFIG_DEVMEM"),
    (image("6.7.12", config=GOOD_CONFIG.replace("CONFIG_PROC_KCORE=y\n", "")),
     "lacks CONFIG_PROC_KCORE"),
])
def test_what_is_wrong_is_said(complaint, content: bytes, words: str) -> None:
    assert complaint(content).startswith(words)


def test_a_configuration_may_lie_beside(complaint) -> None:
    bad = GOOD_CONFIG.replace("CONFIG_DEVTMPFS=y\n", "")
    assert complaint(image("6.1.2-x"), **{"config_6.1.2-x": GOOD_CONFIG, "config": bad}) == ""
    assert "lacks CONFIG_DEVTMPFS, by " in complaint(image("6.1.3-y"))
    # What is in the Image itself belongs to it.
    assert complaint(image(config=GOOD_CONFIG)) == ""


def test_a_damaged_configuration_is_none(complaint) -> None:
    damaged = b"IKCFG_ST" + gzip.compress(b"")[:10] + b"\xff" * 100
    assert complaint(image()[:-len(damaged)] + damaged) == ""


def test_bench_says_it_before_it_builds(tmp_path) -> None:
    (tmp_path / "Image").write_bytes(gzip.compress(image()))
    bench = subprocess.run(
        [sys.executable, "-B", "-m", "parkvmm.bench.command", "--cpus", "4", "--out",
         tmp_path / "out", tmp_path / "Image"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools")}, text=True,
        capture_output=True, timeout=60, check=False)
    assert bench.returncode == 2
    assert bench.stderr == (f"bench: {tmp_path}/Image is packed with gzip; unpack it, "
                            "kexec takes a plain Image\n")
    assert not (tmp_path / "out").exists()
