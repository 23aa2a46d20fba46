"""Ceph's disk guard under every inventory and grant that Hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.act.cephguard import SLACK, Claim, Found, Refusal, Use, judge, judge_content, judge_zap, judge_zap_content
from agent.wire import Content, DeviceGrant, Disk, Partition, Signature

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=600)

FSID, OTHER_FSID = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11", "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f12"
OSD, OTHER_OSD = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
SIZE = 10**12
NEED = 10**11


def claim_of(grant: DeviceGrant, **changes: object) -> Claim:
    wanted = Claim(grant=grant, use=Use.DATA, machine="m1", plan="p", fsid=FSID, osd=OSD, size=NEED)
    return replace(wanted, **changes)  # type: ignore[arg-type]


GRANT = DeviceGrant(
    machine="m1", plan="p", serial="S1", wwn="", model="M", size=SIZE, fingerprint="", osd_uuid=OSD, shared=False
)
DEDICATED, SHARED = claim_of(GRANT), claim_of(replace(GRANT, shared=True))

# Few values on purpose: disks that nearly fit are the interesting ones.
groups = st.sampled_from(["", DEDICATED.group, SHARED.group, "vg0"])
volumes = st.sampled_from([DEDICATED.volume, SHARED.volume, "abcdef-1234-1234-1234-1234-1234-abcdef"])
labels = st.builds(
    Signature,
    kind=st.just("ceph_bluestore"),
    uuid=st.sampled_from([OSD, OTHER_OSD, ""]),
    owner=st.sampled_from([FSID, OTHER_FSID, ""]),
)
signatures = st.one_of(
    labels,
    st.builds(Signature, kind=st.just("LVM2_member"), uuid=volumes, owner=groups),
    st.just(Signature(kind="ext4")),
)
contents = st.builds(
    Content,
    table=st.sampled_from(["", "", "", "gpt"]),
    table_id=st.sampled_from(["", DEDICATED.marker, SHARED.marker, OTHER_OSD]),
    signatures=st.lists(signatures, max_size=3).map(tuple),
    partitions=st.one_of(
        st.just(()), st.just(()), labels.map(lambda item: (Partition(number=1, start=0, size=1, signatures=(item,)),))
    ),
    blank=st.booleans(),
    edges=st.sampled_from(["a" * 64, "a" * 64, "b" * 64, ""]),
    in_use=st.booleans(),
)
sizes = st.sampled_from([SIZE, SIZE, 0, SIZE + 512])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Claim, tuple[Disk, ...], dict[str, int]]:
    """A claim, the disks of the machine, and the free space of groups. The grant often fits one of the disks."""
    made = [
        Disk(
            path=f"/dev/sd{'abc'[index]}",
            size=draw(sizes),
            serial=draw(st.sampled_from(["S1", "S2", ""])),
            wwn=draw(st.sampled_from(["", "", "naa.1"])),
            model="M",
            read_only=draw(st.sampled_from([False, False, False, True])),
            content=draw(contents),
        )
        for index in range(draw(st.integers(0, 3)))
    ]
    seen = [disk.content.fingerprint() for disk in made] + [draw(contents).fingerprint(), ""]
    grant = DeviceGrant(
        machine=draw(st.sampled_from(["m1", "m1", "m1", "m2"])),
        plan=draw(st.sampled_from(["p", "p", "p", "q"])),
        serial=draw(st.sampled_from(["S1", "S1", "S2", ""])),
        wwn=draw(st.sampled_from(["", "", "naa.1"])),
        model="M",
        size=draw(sizes),
        fingerprint=draw(st.sampled_from(seen)),
        osd_uuid=draw(st.sampled_from(["", OSD, OSD, OTHER_OSD])),
        shared=draw(st.booleans()),
    )
    claim = claim_of(grant, begun=draw(st.booleans()))
    free = {name: draw(st.sampled_from([0, NEED - SLACK - 1, NEED, SIZE])) for name in ("vg0", claim.group)}
    return claim, tuple(made), free


def facts(disk: Disk | DeviceGrant) -> tuple[str, str, str, int]:
    return disk.serial, disk.wwn, disk.model, disk.size


def every_label(content: Content) -> list[Signature]:
    inside = [item for part in content.partitions for item in part.signatures]
    return [item for item in [*content.signatures, *inside] if item.kind == "ceph_bluestore"]


def assert_is_the_granted_one(claim: Claim, disks: tuple[Disk, ...], disk: Disk) -> None:
    grant = claim.grant
    assert disk in disks
    assert (grant.machine, grant.plan) == ("m1", "p")
    assert grant.osd_uuid in {"", OSD}
    assert grant.size > 0 and (grant.serial or grant.wwn)
    assert [other for other in disks if facts(other) == facts(grant)] == [disk]
    assert not disk.read_only and disk.content.edges


def lvm_only(content: Content) -> bool:
    kinds = {item.kind for item in content.signatures}
    return not content.table and "LVM2_member" in kinds and kinds <= {"LVM2_member", "ceph_bluestore"}


def assert_may_be_erased(claim: Claim, disk: Disk, group: str) -> None:
    """Planned content, or an erasure of this very claim that was noted before; nothing else may hold it."""
    content = disk.content
    noted = claim.begun and (content.blank or (content.table, content.table_id) == ("gpt", claim.marker))
    assert content.fingerprint() == claim.grant.fingerprint or noted
    assert not content.in_use or (group and lvm_only(content))


@REPEATABLE
@given(worlds())
def test_an_osd_is_only_made_on_the_granted_disk(world: tuple[Claim, tuple[Disk, ...], dict[str, int]]) -> None:
    """Everything that must hold when the guard says yes, written without the guard's own functions."""
    claim, disks, free = world
    verdict = judge(claim, disks, free)
    if verdict.disk is None:
        assert verdict.refusal in Refusal and verdict.reason
        return
    content = verdict.disk.content
    assert_is_the_granted_one(claim, disks, verdict.disk)
    found = every_label(content)
    if verdict.found is Found.OWN:
        assert not claim.grant.shared and not content.table and not content.partitions
        assert all(item.uuid == OSD and item.owner in {FSID, ""} for item in found)
        ours = [item for item in content.signatures if item.owner == claim.group or item.uuid == claim.volume]
        assert found or ours
    elif verdict.found is Found.SHARED:
        assert claim.grant.shared and lvm_only(content)
        assert all(item.owner == FSID for item in found)
        mine = any(item.uuid == OSD for item in found)
        assert mine or not verdict.group or free[verdict.group] >= NEED - SLACK
    else:
        assert verdict.found is Found.FRESH
        assert_may_be_erased(claim, verdict.disk, verdict.group)
        assert not [item for item in found if item.owner == FSID and item.uuid != OSD]


@REPEATABLE
@given(worlds())
def test_only_the_granted_disk_is_zapped(world: tuple[Claim, tuple[Disk, ...], dict[str, int]]) -> None:
    claim, disks, _free = world
    verdict = judge_zap(claim, disks)
    if verdict.disk is None:
        assert verdict.refusal in Refusal and verdict.reason
        return
    content = verdict.disk.content
    assert_is_the_granted_one(claim, disks, verdict.disk)
    found = every_label(content)
    if verdict.found is Found.BLANK:
        assert content.blank and not content.in_use
    elif verdict.found is Found.SHARED:
        assert claim.grant.shared and lvm_only(content) and verdict.group
        assert all(item.owner == FSID for item in found)
    else:
        assert verdict.found is Found.FRESH and not claim.grant.shared
        assert not content.in_use or (verdict.group and lvm_only(content))
        own = all(item.uuid == OSD and item.owner in {FSID, ""} for item in found) and not content.table
        named = [item for item in content.signatures if item.owner == claim.group or item.uuid == claim.volume]
        if not (own and (found or named)):
            assert_may_be_erased(claim, verdict.disk, verdict.group)


@REPEATABLE
@given(worlds())
def test_order_of_disks_does_not_matter(world: tuple[Claim, tuple[Disk, ...], dict[str, int]]) -> None:
    claim, disks, free = world
    for forward, backward in (
        (judge(claim, disks, free), judge(claim, disks[::-1], free)),
        (judge_zap(claim, disks), judge_zap(claim, disks[::-1])),
    ):
        assert (forward.disk, forward.found, forward.refusal) == (backward.disk, backward.found, backward.refusal)


@REPEATABLE
@given(worlds(), contents)
def test_what_changed_after_the_first_look_is_refused(
    world: tuple[Claim, tuple[Disk, ...], dict[str, int]], later: Content
) -> None:
    claim, disks, free = world
    first = judge(claim, disks, free)
    if first.disk is None:
        return
    again = judge_content(claim, replace(first.disk, content=later), free)
    if again.found is Found.FRESH:
        assert_may_be_erased(claim, replace(first.disk, content=later), again.group)


ALLOWED = [
    (DEDICATED, Content(blank=True, edges="a" * 64), Found.FRESH),
    (DEDICATED, Content(signatures=(Signature(kind="ext4"),), edges="a" * 64), Found.FRESH),
    (SHARED, Content(blank=True, edges="a" * 64), Found.FRESH),
]
OWN = [
    (DEDICATED, (Signature(kind="ceph_bluestore", uuid=OSD, owner=FSID),), Found.OWN),
    (DEDICATED, (Signature(kind="ceph_bluestore", uuid=OSD),), Found.OWN),
    (DEDICATED, (Signature(kind="LVM2_member", uuid=DEDICATED.volume),), Found.OWN),
    (DEDICATED, (Signature(kind="LVM2_member", uuid="x", owner=DEDICATED.group),), Found.OWN),
    (SHARED, (Signature(kind="LVM2_member", uuid=SHARED.volume),), Found.SHARED),
    (SHARED, (Signature(kind="LVM2_member", uuid="x", owner=SHARED.group),), Found.SHARED),
    (
        SHARED,
        (
            Signature(kind="LVM2_member", uuid="x", owner="vg0"),
            Signature(kind="ceph_bluestore", uuid=OTHER_OSD, owner=FSID),
        ),
        Found.SHARED,
    ),
]


def disk_with(content: Content) -> Disk:
    return Disk(path="/dev/sda", size=SIZE, serial="S1", model="M", content=content)


@pytest.mark.parametrize(("claim", "content", "found"), ALLOWED)
def test_it_says_yes_to_the_planned_content(claim: Claim, content: Content, found: Found) -> None:
    """The guard is not just always refusing."""
    wanted = replace(claim, grant=replace(claim.grant, fingerprint=content.fingerprint()))
    assert judge(wanted, (disk_with(content),), {}).found is found


@pytest.mark.parametrize(("claim", "signatures", "found"), OWN)
def test_it_knows_its_own_work_again(claim: Claim, signatures: tuple[Signature, ...], found: Found) -> None:
    disk = disk_with(Content(signatures=signatures, edges="a" * 64))
    assert judge(claim, (disk,), {SHARED.group: SIZE, "vg0": SIZE}).found is found


REFUSED = [
    ((Signature(kind="ceph_bluestore", uuid=OTHER_OSD, owner=FSID),), False, Refusal.OTHER_OSD),
    ((Signature(kind="ceph_bluestore", uuid=OSD, owner=OTHER_FSID),), False, Refusal.OTHER_CLUSTER),
    ((Signature(kind="ext4"),), True, Refusal.IN_USE),
    ((Signature(kind="ext4"),), False, Refusal.CONTENT_CHANGED),
]


@pytest.mark.parametrize(("signatures", "in_use", "refusal"), REFUSED)
def test_refusals_say_what_was_found(signatures: tuple[Signature, ...], in_use: bool, refusal: Refusal) -> None:
    disk = disk_with(Content(signatures=signatures, edges="a" * 64, in_use=in_use))
    for verdict in (judge(DEDICATED, (disk,), {}), judge_zap_content(DEDICATED, disk)):
        assert verdict.refusal is refusal and "/dev/sda" in verdict.reason


def test_a_full_shared_device_is_refused_with_the_numbers() -> None:
    content = Content(signatures=(Signature(kind="LVM2_member", uuid="x", owner=SHARED.group),), edges="a" * 64)
    verdict = judge(SHARED, (disk_with(content),), {SHARED.group: NEED // 2})
    assert verdict.refusal is Refusal.NO_SPACE and str(NEED // 2) in verdict.reason and str(NEED) in verdict.reason


def test_erasing_goes_on_only_where_it_was_noted() -> None:
    half = disk_with(Content(table="gpt", table_id=DEDICATED.marker, edges="a" * 64))
    assert judge(DEDICATED, (half,), {}).refusal is Refusal.CONTENT_CHANGED
    assert judge(replace(DEDICATED, begun=True), (half,), {}).found is Found.FRESH
