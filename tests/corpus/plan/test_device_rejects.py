"""ceph-volume's own cases of devices that it rejects (18.2.7). Its tests mock the rest of the system (blkid, lsblk, LVM),
which the vectors do not carry; `MOCKED` says what each of those tests put on the device. Where we decide otherwise is in
`DIFFERENCES` (the same table is in docs/disks.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Content, Disk, Partition, Signature
from appliance.plan.disks.reject import Finding, content_findings, device_findings

BLANK = Content(blank=True)
CEPH_DISK = Content(
    table="gpt",
    partitions=(Partition(number=1, start=1 << 20, size=1 << 30, type="45B0969E-9B03-4F30-B4C6-35865CEFF106"),),
)
FILESYSTEM = Content(signatures=(Signature(kind="xfs"),))
MOCKED = {
    "TestDevice::test_is_ceph_disk_lsblk": CEPH_DISK,
    "TestDevice::test_is_ceph_disk_blkid": Content(
        table="gpt",
        partitions=(
            *CEPH_DISK.partitions,
            Partition(number=2, start=2 << 30, size=1 << 30, signatures=(Signature(kind="xfs"),)),
        ),
    ),
    "TestDevice::test_is_not_ceph_disk_member_lsblk": FILESYSTEM,
    "TestDevice::test_reject_device_with_gpt_headers": Content(table="gpt"),
    "TestDevice::test_reject_bluestore_device": Content(signatures=(Signature(kind="ceph_bluestore", owner="fsid"),)),
    "TestDevice::test_existing_vg_available": Content(signatures=(Signature(kind="LVM2_member", owner="ceph-1"),)),
    "TestDeviceEncryption::test_mapper_is_encrypted_luks1": Content(signatures=(Signature(kind="crypto_LUKS"),)),
}
SAME = {
    "Insufficient space (<5GB)": {Finding.TOO_SMALL},
    "read-only": {Finding.READ_ONLY},
    "Has GPT headers": {Finding.TABLE},
    "Has BlueStore device label": {Finding.BLUESTORE},
    "Used by ceph-disk": {Finding.BLUESTORE},
    "Has a FileSystem": {Finding.FILESYSTEM, Finding.ENCRYPTED},
}
"""Its reasons, and which of our findings says the same."""
NOT_A_DISK = "Device type is not acceptable. It should be raw device or partition"
DIFFERENCES = {
    "loop and mapper devices": "the agent never reports them as disks",
    "removable": "ceph-volume takes removable disks; we never do",
    "existing volume group": "ceph-volume shares a volume group that has room; for us it is somebody's data",
}


def vectors(corpus: Path) -> list[dict[str, Any]]:
    path = corpus / "ceph" / "device-reject-vectors.json"
    if not path.is_file():
        pytest.skip(f"the corpus has no {path}")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["device_rejects"]
    return found


def disk(vector: dict[str, Any]) -> Disk:
    facts = vector["sys_api"]
    return Disk(
        path="/dev/sdx",
        serial="VECTOR1",
        size=int(facts.get("size", 0)),
        removable=facts.get("removable") == "1",
        read_only=facts.get("ro") == "1",
        rotational=facts.get("rotational") == "1",
        content=MOCKED.get(vector["test"].partition("[")[0], BLANK),
    )


def test_rejects(corpus: Path) -> None:
    """Everything that ceph-volume rejects, we reject for the same reason; what only we reject is a known difference."""
    differ = set()
    for vector in vectors(corpus):
        device, reasons = disk(vector), list(vector["reasons"])
        found = {*device_findings(device), *content_findings(device.content)}
        if NOT_A_DISK in reasons:
            reasons.remove(NOT_A_DISK)
            differ.add("loop and mapper devices")
        for reason in reasons:
            assert found & SAME[reason], (vector["test"], reason, found)
        explained = set().union(*(SAME[reason] for reason in reasons))
        more = found - explained
        if Finding.REMOVABLE in more:
            differ.add("removable")
        if vector["available"] and found:
            assert more == {Finding.LVM}, (vector["test"], found)
            differ.add("existing volume group")
        if Finding.BLUESTORE in explained:
            more -= {Finding.TABLE}
        assert more <= {Finding.REMOVABLE, Finding.LVM} or NOT_A_DISK in vector["reasons"], (vector["test"], more)
    assert differ == set(DIFFERENCES)


def test_every_difference_is_documented() -> None:
    page = " ".join((Path(__file__).parents[3] / "docs" / "disks.md").read_text(encoding="utf-8").split())
    for reason in DIFFERENCES.values():
        assert reason in page, reason
