"""What is on a disk: real file systems made by real tools on sparse files, and labels written by hand."""

from __future__ import annotations

import shutil
import struct
import subprocess
import uuid
from pathlib import Path

import pytest

from agent.probe import owners
from agent.probe.content import content
from agent.probe.device import opened
from agent.wire import Content

MIB = 2**20
SIZE = 64 * MIB
FSID = "c4ab4f6e-0d5e-4d3f-8a58-2e5cf4b2d3aa"
OSD = "5c1d5c3e-8a19-4f3a-9a7e-7a3f0c1b2d4e"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    with path.open("wb") as stream:
        stream.truncate(SIZE)
    return path


def tool(*argv: str, stdin: str = "") -> None:
    if shutil.which(argv[0]) is None:
        pytest.skip(f"needs {argv[0]}")
    subprocess.run(argv, input=stdin, text=True, check=True, capture_output=True)


def write(disk: Path, offset: int, data: bytes) -> None:
    with disk.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def read(disk: Path) -> Content:
    with opened(disk) as device:
        return content(device)


def test_blank(disk: Path) -> None:
    found = read(disk)
    assert found.blank and found.edges and not found.boot
    assert found == Content(blank=True, edges=found.edges)


@pytest.mark.parametrize("offset", [0, MIB - 1, SIZE - 1])
def test_one_byte_at_an_edge_is_not_blank(disk: Path, offset: int) -> None:
    before = read(disk)
    write(disk, offset, b"x")
    after = read(disk)
    assert not after.blank
    assert after.fingerprint() != before.fingerprint()


def test_file_system_on_the_whole_disk(disk: Path) -> None:
    tool("mkfs.ext4", "-q", "-F", "-L", "data", "-U", OSD, str(disk))
    found = read(disk)
    assert [(item.kind, item.label, item.uuid) for item in found.signatures] == [("ext4", "data", OSD)]
    assert (found.table, found.blank) == ("", False)


def test_partitions_with_file_systems(disk: Path) -> None:
    tool(
        "sgdisk", "-o", "-U", FSID, "-n", "1:2048:4095", "-t", "1:ef02", "-n", "2:4096:+20M", "-t", "2:ef00",
        "-c", "2:EFI System", "-n", "3:0:0", str(disk),
    )  # fmt: skip
    tool("mkfs.ext4", "-q", "-F", "-E", f"offset={24 * MIB}", str(disk), "20M")
    found = read(disk)
    assert (found.table, found.table_id, found.boot) == ("gpt", FSID, True)
    assert [(part.number, part.start, part.size) for part in found.partitions][:2] == [
        (1, MIB, MIB),
        (2, 2 * MIB, 20 * MIB),
    ]
    assert found.partitions[1].label == "EFI System"


def test_ambivalent_disk_shows_both(disk: Path) -> None:
    """blkid's command line refuses this disk with "ambivalent result"."""
    tool("mkfs.ext4", "-q", "-F", str(disk))
    write(disk, 65536, b"\0" * 64 + b"_BHRfS_M")  # btrfs magic without a valid checksum does not count
    tool("mkswap", "-U", OSD, str(disk))
    kinds = {item.kind for item in read(disk).signatures}
    assert "swap" in kinds


def test_mbr_with_logical_partitions(disk: Path) -> None:
    entry = struct.Struct("<B3sB3sII")
    mbr = bytearray(512)
    entry.pack_into(mbr, 446, 0x80, b"", 0x83, b"", 2048, 20480)
    entry.pack_into(mbr, 462, 0, b"", 0x05, b"", 40960, 40960)
    struct.pack_into("<I", mbr, 440, 0xDEADBEEF)
    mbr[510:] = b"\x55\xaa"
    write(disk, 0, bytes(mbr))
    for at, following in ((0, 4096), (4096, 0)):
        ebr = bytearray(512)
        entry.pack_into(ebr, 446, 0, b"", 0x83, b"", 63, 2000)
        if following:
            entry.pack_into(ebr, 462, 0, b"", 0x05, b"", following, 4096)
        ebr[510:] = b"\x55\xaa"
        write(disk, (40960 + at) * 512, bytes(ebr))
    found = read(disk)
    assert (found.table, found.table_id, found.boot) == ("mbr", "deadbeef", True)
    assert [(part.number, part.start // 512, part.size // 512, part.type) for part in found.partitions] == [
        (1, 2048, 20480, "83"),
        (2, 40960, 40960, "05"),
        (5, 40960 + 63, 2000, "83"),
        (6, 40960 + 4096 + 63, 2000, "83"),
    ]


def test_an_ebr_that_points_to_itself_ends(disk: Path) -> None:
    sector = bytearray(512)
    struct.pack_into("<B3sB3sII", sector, 446, 0, b"", 0x05, b"", 2048, 40960)
    sector[510:] = b"\x55\xaa"
    write(disk, 0, bytes(sector))
    loop = bytearray(512)
    struct.pack_into("<B3sB3sII", loop, 446, 0, b"", 0x83, b"", 1, 1)
    struct.pack_into("<B3sB3sII", loop, 462, 0, b"", 0x05, b"", 0, 1)
    loop[510:] = b"\x55\xaa"
    write(disk, 2048 * 512, bytes(loop))
    assert [part.number for part in read(disk).partitions] == [1, 5]


def test_fat_on_the_whole_disk_is_no_mbr(disk: Path) -> None:
    tool("mkfs.vfat", "-F", "32", "-i", "ABCD0123", str(disk))
    found = read(disk)
    assert found.table == ""
    assert [(item.kind, item.uuid) for item in found.signatures] == [("vfat", "ABCD-0123")]
    assert found.boot, "its first sector claims to be bootable"


def bluestore_label(*, fsid: str = FSID, whoami: str = "12") -> bytes:
    """As ceph writes it (bluestore_bdev_label_t, struct version 2)."""

    def text(value: str) -> bytes:
        return struct.pack("<I", len(value)) + value.encode()

    meta = {"ceph_fsid": fsid, "magic": "ceph osd volume v026", "osd_key": "AQSECRETSECRETSECRET==", "whoami": whoami}
    body = uuid.UUID(OSD).bytes + struct.pack("<QII", SIZE, 1_700_000_000, 0) + text("main")
    body += struct.pack("<I", len(meta)) + b"".join(text(key) + text(value) for key, value in sorted(meta.items()))
    return f"bluestore block device\n{OSD}\n".encode() + struct.pack("<BBI", 2, 1, len(body)) + body


def test_bluestore_tells_its_cluster_but_never_its_key(disk: Path) -> None:
    write(disk, 0, bluestore_label())
    found = read(disk)
    assert [(item.kind, item.uuid, item.label, item.owner) for item in found.signatures] == [
        ("ceph_bluestore", OSD, "osd.12", FSID)
    ]
    assert "SECRET" not in repr(found)


@pytest.mark.parametrize("length", [60, 66, 100, 150])
def test_broken_bluestore_label_is_still_bluestore(disk: Path, length: int) -> None:
    label = bytearray(bluestore_label())
    label[length:] = b"\xff" * (len(label) - length)
    write(disk, 0, bytes(label))
    assert [(item.kind, item.owner) for item in read(disk).signatures] == [("ceph_bluestore", "")]


LVM_TEXT = f"""ceph-0a1b2c {{
id = "x"
logical_volumes {{
osd-block-1 {{
tags = ["ceph.cluster_fsid={FSID}", "ceph.osd_fsid={OSD}", "ceph.osd_id=3", "ceph.type=block", "ceph.encrypted=0"]
}}
}}
}}
"""


def lvm_member(text: bytes, at: int) -> bytes:
    """A physical volume: label in sector 1, one metadata area at 4096 whose text starts at ``at`` and may wrap."""
    label = bytearray(512)
    label[0:8], label[24:32] = b"LABELONE", b"LVM2 001"
    struct.pack_into("<Q", label, 8, 1)
    struct.pack_into("<I", label, 20, 32)
    label[32:64] = b"ABCDEFghijKLMNopqrSTUVwxyz012345"
    struct.pack_into("<Q", label, 64, SIZE)
    struct.pack_into("<QQQQQQQQ", label, 72, MIB, 0, 0, 0, 4096, 8192, 0, 0)
    crc = 0xF597A6CF
    for byte in label[20:]:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    struct.pack_into("<I", label, 16, crc)
    area = bytearray(8192)
    area[4:20] = b" LVM2 x[5A%r0N*>"
    struct.pack_into("<IQQ", area, 20, 1, 4096, 8192)
    struct.pack_into("<QQ", area, 40, at, len(text))
    before = min(len(text), 8192 - at)
    area[at : at + before] = text[:before]
    area[512 : 512 + len(text) - before] = text[before:]
    return b"\0" * 512 + bytes(label) + b"\0" * (4096 - 1024) + bytes(area)


@pytest.mark.parametrize("at", [512, 8192 - 100])
def test_lvm_member_names_its_group_and_the_osds_inside(disk: Path, at: int) -> None:
    write(disk, 0, lvm_member(LVM_TEXT.encode(), at))
    with opened(disk) as device:
        group = owners.volume_group(device, 0)
    assert group is not None and group.name == "ceph-0a1b2c"
    found = {(item.kind, item.owner, item.uuid) for item in read(disk).signatures}
    assert ("ceph_bluestore", FSID, OSD) in found
    assert any(kind == "LVM2_member" and owner == "ceph-0a1b2c" for kind, owner, _ in found)


def test_fingerprint_ignores_use_and_boot(disk: Path) -> None:
    with opened(disk) as device:
        idle, busy = content(device), content(device, in_use=True)
    assert idle.fingerprint() == busy.fingerprint()


def test_short_reads_are_errors(disk: Path) -> None:
    with opened(disk) as device:
        with disk.open("r+b") as stream:
            stream.truncate(SIZE // 2)
        with pytest.raises(OSError, match="bytes at its edges"):
            content(device)
