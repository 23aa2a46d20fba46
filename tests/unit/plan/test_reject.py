"""What keeps a disk from becoming an OSD."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.wire import Content, Disk, Partition, Signature, Smart
from appliance.plan.disks.reject import (
    NOUNS,
    SMALLEST,
    TEXTS,
    Finding,
    carries,
    content_findings,
    device_findings,
    explain,
)

GOOD = Disk(
    path="/dev/sda",
    size=SMALLEST,
    serial="S1",
    transport="sata",
    content=Content(blank=True),
    smart=Smart(healthy=True),
)


@pytest.mark.parametrize(
    ("facts", "found"),
    [
        ({}, ()),
        ({"size": SMALLEST - 1}, (Finding.TOO_SMALL,)),
        ({"transport": "usb", "removable": True}, (Finding.USB, Finding.REMOVABLE)),
        ({"transport": "mmc"}, (Finding.CARD,)),
        ({"read_only": True}, (Finding.READ_ONLY,)),
        ({"vendor": "AMI", "model": "Virtual HDISK0"}, (Finding.VIRTUAL_MEDIA,)),
        ({"model": "PERC Virtual Disk"}, ()),
        ({"serial": "N/A"}, (Finding.NO_IDENTITY,)),
        ({"serial": "", "wwn": "0x5000c500e4a10001"}, ()),
        ({"smart": Smart(healthy=False)}, (Finding.FAILING,)),
        ({"smart": Smart()}, ()),
        ({"smart": None}, ()),
        ({"content": Content(in_use=True)}, (Finding.IN_USE,)),
    ],
)
def test_devices(facts: dict[str, object], found: tuple[Finding, ...]) -> None:
    assert device_findings(replace(GOOD, **facts)) == found  # type: ignore[arg-type]


def partitioned(**facts: object) -> Content:
    return Content(table="gpt", partitions=(Partition(number=1, start=0, size=1, **facts),))  # type: ignore[arg-type]


def signed(*kinds: str) -> Content:
    return Content(signatures=tuple(Signature(kind=kind) for kind in kinds))


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (Content(blank=True), ()),
        (Content(edges="ff"), (Finding.DATA,)),
        (signed("ext4"), (Finding.FILESYSTEM,)),
        (signed("LVM2_member"), (Finding.LVM,)),
        (signed("LVM2_member", "ceph_bluestore"), (Finding.BLUESTORE, Finding.LVM)),
        (signed("zfs_member"), (Finding.ZFS,)),
        (signed("linux_raid_member"), (Finding.RAID,)),
        (signed("isw_raid_member"), (Finding.RAID,)),
        (signed("crypto_LUKS"), (Finding.ENCRYPTED,)),
        (Content(table="dos"), (Finding.TABLE,)),
        (
            Content(
                table="gpt",
                partitions=(Partition(number=1, start=0, size=1, signatures=(Signature(kind="zfs_member"),)),),
            ),
            (Finding.ZFS, Finding.TABLE),
        ),
        (
            Content(
                table="gpt",
                partitions=(Partition(number=1, start=0, size=1, type="45B0969E-9B03-4F30-B4C6-35865CEFF106"),),
            ),
            (Finding.BLUESTORE, Finding.TABLE),
        ),
    ],
)
def test_contents(content: Content, found: tuple[Finding, ...]) -> None:
    """The most telling finding comes first."""
    assert content_findings(content) == found


def test_every_finding_has_words() -> None:
    assert set(TEXTS) | set(NOUNS) == set(Finding)
    assert not set(TEXTS) & set(NOUNS)


def test_what_was_found_is_named() -> None:
    content = Content(signatures=(Signature(kind="ceph_bluestore", label="osd.3", owner="b6f4"),))
    assert carries(content) == "carries an OSD of an earlier Ceph: ceph_bluestore 'osd.3' of b6f4"
    assert explain(replace(GOOD, size=4 * 10**9), Finding.TOO_SMALL) == "4 GB is smaller than 5 GiB"
    in_use = replace(GOOD, content=replace(content, in_use=True))
    assert explain(in_use, Finding.IN_USE).endswith(
        "it carries an OSD of an earlier Ceph: ceph_bluestore 'osd.3' of b6f4"
    )
    assert carries(Content(blank=True)) == ""
