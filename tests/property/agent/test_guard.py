"""The disk guard under every inventory and order that Hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.act.guard import Refusal, judge, judge_content
from agent.wire import Content, Disk, DiskGrant, Partition, Signature

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=300)

PERMIT = "6e1f7c52-34a8-4a57-9d0e-0f5a3a0e8f11"
OTHER = "00000000-0000-4000-8000-000000000001"

# Few values on purpose: disks that nearly fit are the interesting ones.
serials = st.sampled_from(["", "S1", "S2"])
wwns = st.sampled_from(["", "eui.1", "naa.2"])
models = st.sampled_from(["", "M"])
sizes = st.sampled_from([0, 10**9, 10**9 + 512])
permits = st.sampled_from([PERMIT, OTHER, "", "nonsense", PERMIT.upper(), "00000000-0000-0000-0000-000000000000"])
contents = st.builds(
    Content,
    table=st.sampled_from(["", "gpt", "mbr"]),
    table_id=permits,
    signatures=st.sampled_from([(), (Signature(kind="ext4"),)]),
    partitions=st.sampled_from([(), (Partition(number=1, start=0, size=1),)]),
    edges=st.sampled_from(["", "a" * 64, "b" * 64]),
    in_use=st.booleans(),
    boot=st.booleans(),
)
fingerprints = st.one_of(contents.map(Content.fingerprint), st.just(""), st.just("0" * 64))


@st.composite
def machines(draw: st.DrawFn) -> tuple[Disk, ...]:
    count = draw(st.integers(0, 4))
    return tuple(
        Disk(
            path=f"/dev/sd{'abcd'[index]}",
            size=draw(sizes),
            serial=draw(serials),
            wwn=draw(wwns),
            model=draw(models),
            read_only=draw(st.booleans()),
            content=draw(contents),
        )
        for index in range(count)
    )


grants = st.builds(
    DiskGrant,
    machine=st.sampled_from(["m1", "m2"]),
    plan=st.just("p"),
    serial=serials,
    wwn=wwns,
    model=models,
    size=sizes,
    fingerprint=fingerprints,
)


def label(disk: Disk | DiskGrant) -> tuple[str, str, int]:
    return disk.serial, disk.model, disk.size


@REPEATABLE
@given(grants, permits, machines())
def test_only_the_one_granted_disk_may_be_written(grant: DiskGrant, permit: str, disks: tuple[Disk, ...]) -> None:
    """Everything that must hold when the guard says yes, written without the guard's own functions."""
    verdict = judge(grant, permit, "m1", disks)
    if verdict.disk is None:
        assert verdict.refusal in Refusal and verdict.reason
        return
    disk = verdict.disk
    assert disk in disks
    assert grant.machine == "m1"
    assert permit in {PERMIT, OTHER}
    assert grant.size > 0 and (grant.serial or grant.wwn)
    assert (label(disk), disk.wwn) == (label(grant), grant.wwn)
    assert [other for other in disks if (label(other), other.wwn) == (label(grant), grant.wwn)] == [disk]
    if not grant.wwn:
        assert [other for other in disks if label(other) == label(grant)] == [disk]
    assert not disk.read_only and not disk.content.in_use
    marked = disk.content.table == "gpt" and disk.content.table_id == permit
    planned = disk.content.fingerprint() == grant.fingerprint and disk.content.edges
    assert marked or planned
    assert verdict.resumed == marked


@REPEATABLE
@given(permits, machines(), st.integers(0, 3))
def test_it_says_yes_to_the_right_one(permit: str, disks: tuple[Disk, ...], index: int) -> None:
    """The guard is not just always refusing: a unique, idle, readable disk with its planned content passes."""
    if index >= len(disks):
        return
    disk = disks[index]
    grant = DiskGrant(
        machine="m1",
        plan="p",
        serial=disk.serial,
        wwn=disk.wwn,
        model=disk.model,
        size=disk.size,
        fingerprint=disk.content.fingerprint(),
    )
    unique = sum(label(other) == label(disk) for other in disks) == 1
    sound = disk.size and (disk.serial or disk.wwn) and not disk.read_only and disk.content.edges
    verdict = judge(grant, permit, "m1", disks)
    if unique and sound and not disk.content.in_use and permit in {PERMIT, OTHER}:
        assert verdict.disk == disk
    elif permit not in {PERMIT, OTHER}:
        assert verdict.refusal is Refusal.BAD_PERMIT


@REPEATABLE
@given(grants, machines())
def test_order_of_disks_does_not_matter(grant: DiskGrant, disks: tuple[Disk, ...]) -> None:
    forward, backward = (judge(grant, PERMIT, "m1", order) for order in (disks, disks[::-1]))
    assert (forward.disk, forward.refusal) == (backward.disk, backward.refusal)


@REPEATABLE
@given(grants, machines(), contents)
@example(
    grant=DiskGrant(machine="m1", plan="p", serial="S1", wwn="", model="M", size=10**9, fingerprint=""),
    disks=(Disk(path="/dev/sda", size=10**9, serial="S1", model="M", content=Content()),),
    content=Content(edges="a" * 64),
)
def test_changed_content_is_never_written_without_the_marker(
    grant: DiskGrant, disks: tuple[Disk, ...], content: Content
) -> None:
    """Between the look at the inventory and the look through the descriptor, anything may have changed."""
    verdict = judge(grant, PERMIT, "m1", disks)
    if verdict.disk is None:
        return
    again = judge_content(grant, PERMIT, replace(verdict.disk, content=content))
    if again.disk is not None and not again.resumed:
        assert content.fingerprint() == grant.fingerprint
