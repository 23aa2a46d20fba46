"""Golden OSD plans of single machines: every disk with its reason, every refusal with its numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from agent.wire import Content, Cpu, Disk, Memory, Partition, Signature, Smart
from appliance.model.ceph import CephSpec, DeviceFilter, DriveGroup, FilterLogic, OsdLayout
from appliance.model.place import Place
from appliance.model.plan import Allocation
from appliance.plan.candidate import Candidate
from appliance.plan.disks.system import claims
from appliance.plan.osd.machine import OsdPlan, plan_osds
from hwprofiles.profile import Bytes, DiskRole, DiskRoleName, DiskSelector, Profile
from hwprofiles.values import show_size

FSID = "b6f4ba11-7a3e-4f0c-9d53-2f1d2f8a9c10"
BLUESTORE = Content(signatures=(Signature(kind="ceph_bluestore", label="osd.3", owner=FSID),), edges="b1")
LVM_OSD = Content(
    signatures=(
        Signature(kind="LVM2_member", owner="ceph-0a1b"),
        Signature(kind="ceph_bluestore", label="osd.7", owner=FSID),
    ),
    edges="b2",
    in_use=True,
)
PLAIN = CephSpec()
ALL = DeviceFilter(all=True)
SPINNING, FLASH = DeviceFilter(rotational=True), DeviceFilter(rotational=False)


@dataclass(slots=True, kw_only=True)
class Scene:
    """One machine and what is asked of it."""

    disks: list[Disk]
    spec: CephSpec = PLAIN
    profile: str | Profile = "arm-storage"
    memory: int = 256
    threads: int = 64
    site: tuple[str, ...] = ()
    standing: tuple[OsdLayout, ...] = ()
    hyperconverged: bool = False


def hdd(w: Any, number: int, size: float = 16000, **facts: Any) -> Disk:
    place = f"pci-0000:03:00.0-sas-phy{number}"
    known = {"transport": "sas", "rotational": True, "bus_path": place, "model": "ST16000NM004J", "vendor": "SEAGATE"}
    return w.disk(facts.pop("serial", f"HD{number}"), size, **{**known, **facts})


def nvme(w: Any, number: int, size: float = 1920, **facts: Any) -> Disk:
    known = {"transport": "nvme", "bus_path": f"pci-0000:{41 + number}:00.0", "model": "Micron_7450"}
    return w.disk(f"NV{number}", size, **{**known, **facts})


def ssd(w: Any, number: int, size: float = 960, **facts: Any) -> Disk:
    known = {"transport": "sata", "bus_path": f"pci-0000:05:00.0-ata-{number}", "model": "MTFDDAK960TDS"}
    return w.disk(f"SD{number}", size, **{**known, **facts})


def hdds(w: Any, count: int, size: float = 16000) -> list[Disk]:
    return [hdd(w, number, size) for number in range(count)]


def group(name: str, **facts: Any) -> CephSpec:
    return CephSpec(groups=(DriveGroup(name=name, **facts),))


def made(w: Any, scene: Scene) -> tuple[Candidate, OsdPlan]:
    """The plan of a scene; its first disk is the system disk."""
    system = w.disk("SYS", 480)
    machine = w.machine(
        1,
        *reversed([system, *scene.disks]),
        memory=Memory(total=scene.memory << 30),
        cpu=Cpu(model="any", threads=scene.threads),
    )
    profiles = {profile.name: profile for profile in w.profiles}
    profile = profiles[scene.profile] if isinstance(scene.profile, str) else scene.profile
    assert machine.inventory is not None
    candidate = Candidate(
        machine=machine,
        inventory=machine.inventory,
        profile=profile,
        place=Place(),
        given=Allocation(machine="m-1", name="n1", address="", profile=profile.name),
        system=(system,),
    )
    site = w.site(*scene.site)
    known = claims(site, [machine])
    found = plan_osds(site, scene.spec, candidate, known, scene.standing, hyperconverged=scene.hyperconverged)
    return candidate, found


def standing(w: Any, scene: Scene, **formed: Content) -> tuple[OsdLayout, ...]:
    """The OSDs of an accepted plan, numbered."""
    return tuple(replace(osd, number=number) for number, osd in enumerate(made(w, scene)[1].osds, 3))


def become(disks: list[Disk], content: Content) -> list[Disk]:
    return [replace(disk, content=content) for disk in disks]


# ---------------------------------------------------------------- scenes


def hdds_with_a_db_device(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 6), nvme(w, 0)])


def two_db_devices_share_evenly(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 7), nvme(w, 0), nvme(w, 1, 3840)])


def nvme_beside_virtual_machines(w: Any) -> Scene:
    return Scene(disks=[nvme(w, n, 3840) for n in range(4)], profile="epyc-compute", hyperconverged=True)


def too_little_memory(w: Any) -> Scene:
    return replace(nvme_beside_virtual_machines(w), memory=64)


def far_too_little_memory(w: Any) -> Scene:
    return replace(nvme_beside_virtual_machines(w), memory=16)


def few_threads(w: Any) -> Scene:
    return replace(nvme_beside_virtual_machines(w), threads=8)


def more_hdds_than_slots(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 12), nvme(w, 0)])


def large_hdds_get_fewer_slots(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 3, 24000), ssd(w, 0, 960)], spec=group("hdd", data=SPINNING, db=FLASH))


def a_db_device_too_small_for_one(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 2, 24000), ssd(w, 0, 120)], spec=group("hdd", data=SPINNING, db=FLASH))


def five_hdds_on_a_sata_ssd(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 6, 4000), ssd(w, 0, 960)], spec=group("hdd", data=SPINNING, db=FLASH))


def db_slots_that_are_too_small(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 2), nvme(w, 0)], spec=group("hdd", data=SPINNING, db=FLASH, db_slots=16))


def db_size_is_obeyed(w: Any) -> Scene:
    spec = group("hdd", data=SPINNING, db=FLASH, db_size=60 * 10**9, db_slots=16)
    return Scene(disks=[*hdds(w, 2), nvme(w, 0)], spec=spec)


def db_size_larger_than_a_slot(w: Any) -> Scene:
    spec = group("hdd", data=SPINNING, db=FLASH, db_size=300 * 10**9, db_slots=10)
    return Scene(disks=[*hdds(w, 2), nvme(w, 0)], spec=spec)


def db_of_small_hdds_is_four_percent(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 2, 2000), nvme(w, 0)])


def db_wanted_but_no_device(w: Any) -> Scene:
    spec = group("hdd", data=SPINNING, db=DeviceFilter(model="P5800X"))
    return Scene(disks=[*hdds(w, 2), nvme(w, 0)], spec=spec)


def db_device_with_foreign_data(w: Any) -> Scene:
    return Scene(disks=[*hdds(w, 2), nvme(w, 0, content=BLUESTORE)])


def a_db_on_a_spinning_disk(w: Any) -> Scene:
    return Scene(disks=hdds(w, 4), spec=group("odd", data=DeviceFilter(all=True, limit=3), db=ALL))


def a_wal_device_beside_the_db(w: Any) -> Scene:
    spec = group("hdd", data=SPINNING, db=DeviceFilter(vendor="intel"), wal=DeviceFilter(model="optane"))
    optane = nvme(w, 1, 58, model="INTEL Optane P1600X")
    return Scene(disks=[*hdds(w, 2), nvme(w, 0, vendor="Intel Corp"), optane], spec=spec)


def a_wal_device_too_small(w: Any) -> Scene:
    spec = group("hdd", data=SPINNING, wal=DeviceFilter(model="optane"))
    return Scene(disks=[*hdds(w, 4), nvme(w, 1, 5.4, model="INTEL Optane M10")], spec=spec, profile="generic-x86-64")


def two_osds_per_nvme(w: Any) -> Scene:
    spec = group("flash", data=FLASH, osds_per_device=2, encrypted=True)
    return Scene(disks=[nvme(w, 0, 7680), nvme(w, 1, 7680), ssd(w, 0)], spec=spec, profile="generic-x86-64")


def flash_needs_no_db_device(w: Any) -> Scene:
    roles = (
        DiskRole(role=DiskRoleName.OSD, count=0, choose=(DiskSelector(max_size=Bytes(10**12)), DiskSelector())),
        DiskRole(role=DiskRoleName.DB, count=0, choose=(DiskSelector(transport=("nvme",)),)),
    )
    profile = Profile(name="mixed", description="", disks=roles)
    return Scene(disks=[nvme(w, 0, 800), ssd(w, 0), nvme(w, 1, 1920), hdd(w, 0, 900)], profile=profile)


def drive_groups_in_order(w: Any) -> Scene:
    spec = CephSpec(
        groups=(
            DriveGroup(name="elsewhere", profiles=("epyc-compute",), data=ALL),
            DriveGroup(name="fast", data=DeviceFilter(model="micron", size="3TB:"), device_class="fast"),
            DriveGroup(name="rest", data=DeviceFilter(all=True, limit=2)),
        ),
    )
    disks = [nvme(w, 0, 3840), nvme(w, 1, 3840), nvme(w, 2), ssd(w, 0), hdd(w, 0, 4000)]
    return Scene(disks=disks, spec=spec, profile="generic-x86-64")


def a_group_by_or_and_by_serial(w: Any) -> Scene:
    spec = CephSpec(
        groups=(
            DriveGroup(name="named", data=DeviceFilter(serials=("hd3",))),
            DriveGroup(
                name="either",
                filter_logic=FilterLogic.OR,
                data=DeviceFilter(vendor="toshiba", size="4TB"),
                device_class="hdd",
            ),
        )
    )
    disks = [hdd(w, 1, 4000.787), hdd(w, 2, vendor="TOSHIBA"), hdd(w, 3), hdd(w, 4)]
    return Scene(disks=disks, spec=spec, profile="generic-x86-64")


def groups_that_make_no_sense(w: Any) -> Scene:
    spec = CephSpec(
        groups=(
            DriveGroup(name="alone", data=DeviceFilter(limit=2)),
            DriveGroup(name="both", data=DeviceFilter(all=True, model="x")),
            DriveGroup(name="size", data=DeviceFilter(size="big")),
            DriveGroup(name="ends", data=DeviceFilter(size="4TB:1TB"), osds_per_device=0, db_slots=-1),
            DriveGroup(name="minus", data=DeviceFilter(all=True, limit=-1)),
        )
    )
    return Scene(disks=hdds(w, 1), spec=spec)


def no_group_for_the_profile(w: Any) -> Scene:
    return Scene(disks=hdds(w, 1), spec=group("elsewhere", profiles=("epyc-compute",), data=ALL))


def no_role_and_no_group(w: Any) -> Scene:
    return Scene(disks=hdds(w, 1), profile="raspberry-pi-5")


def a_small_edge_machine(w: Any) -> Scene:
    return Scene(
        disks=[nvme(w, 0, 500), ssd(w, 0)], profile="generic-x86-64", memory=32, threads=8, hyperconverged=True
    )


def all_disks_have_foreign_data(w: Any) -> Scene:
    """The HDDs are meant, so the NVMe does not become an OSD in their place."""
    return Scene(disks=[*become(hdds(w, 2), w.foreign), nvme(w, 0)])


def a_role_that_wants_exactly_two(w: Any) -> Scene:
    role = DiskRole(role=DiskRoleName.OSD, count=2, choose=(DiskSelector(rotational=True),))
    return Scene(disks=hdds(w, 3), profile=Profile(name="two", description="", disks=(role,)))


def what_is_on_disks(w: Any) -> Scene:
    contents = [
        BLUESTORE,
        LVM_OSD,
        Content(signatures=(Signature(kind="LVM2_member", owner="vg0"),), edges="01"),
        Content(signatures=(Signature(kind="zfs_member", label="tank", owner="tank"),), edges="02"),
        Content(signatures=(Signature(kind="linux_raid_member", label="md0"),), edges="03"),
        Content(signatures=(Signature(kind="crypto_LUKS"),), edges="04"),
        Content(signatures=(Signature(kind="xfs", label="data"),), edges="05"),
        w.foreign,
        Content(table="gpt", edges="06"),
        Content(edges="07"),
        Content(
            table="gpt",
            partitions=(Partition(number=1, start=1 << 20, size=1 << 30, type="4fbd7e29-9d25-41b8-afd0-062c0ceff05d"),),
        ),
    ]
    return Scene(disks=[hdd(w, number, content=content) for number, content in enumerate(contents)])


def erasure_is_granted(w: Any) -> Scene:
    disks = [hdd(w, 0, content=BLUESTORE), hdd(w, 1, content=w.foreign), hdd(w, 2, content=LVM_OSD)]
    return Scene(disks=disks, site=("erase: [{serial: hd0}, {serial: HD2}]",))


def devices_that_are_no_disks(w: Any) -> Scene:
    disks = [
        hdd(w, 0, transport="usb", removable=True),
        hdd(w, 1, transport="mmc"),
        hdd(w, 2, removable=True),
        hdd(w, 3, read_only=True),
        hdd(w, 4, 5.3),
        hdd(w, 5, smart=Smart(healthy=False)),
        hdd(w, 6, serial="", model="Virtual HDISK0", vendor="AMI"),
        hdd(w, 7, serial="N/A"),
        hdd(w, 8, serial="TWIN"),
        hdd(w, 9, serial="TWIN"),
        hdd(w, 10, content=Content(signatures=(Signature(kind="xfs"),), in_use=True)),
        hdd(w, 11),
        hdd(w, 12),
    ]
    return Scene(disks=disks, site=("protect: [hd11]", "erase: [{serial: hd10}]"))


def a_new_disk_takes_a_free_slot(w: Any) -> Scene:
    before = hdds_with_a_db_device(w)
    return replace(before, disks=[*before.disks, hdd(w, 6), hdd(w, 7)], standing=standing(w, before))


def formed_osds_stand(w: Any) -> Scene:
    before = Scene(disks=[*hdds(w, 2), nvme(w, 0)])
    after = [*become(before.disks, LVM_OSD), hdd(w, 2)]
    return Scene(disks=after, standing=standing(w, before), site=("protect: [hd1]",))


def a_replaced_disk_takes_the_slot(w: Any) -> Scene:
    before = Scene(disks=[*hdds(w, 4), nvme(w, 0)])
    left = become([disk for disk in before.disks if disk.serial != "HD1"], LVM_OSD)
    return Scene(disks=[*left, hdd(w, 9)], standing=standing(w, before))


def the_db_device_is_gone(w: Any) -> Scene:
    before = Scene(disks=[*hdds(w, 2), nvme(w, 0)])
    left = become(before.disks[:2], LVM_OSD)
    return Scene(disks=[*left, nvme(w, 1)], standing=standing(w, before))


def what_was_planned_has_changed(w: Any) -> Scene:
    before = Scene(disks=hdds(w, 5), site=())
    accepted = standing(w, before)
    disks = before.disks
    disks[0] = replace(disks[0], content=w.foreign)
    disks[2] = replace(disks[2], size=disks[2].size + 1)
    disks[3] = replace(disks[3], content=Content(blank=True, edges="ff"))
    disks[4] = replace(disks[4], bus_path="pci-0000:99:00.0", path="/dev/sdzz")
    return Scene(
        disks=[*disks, replace(disks[4], bus_path="pci-0000:77:00.0")], standing=accepted, site=("protect: [HD1]",)
    )


def a_grant_was_taken_back(w: Any) -> Scene:
    disks = [hdd(w, 0, content=w.foreign), hdd(w, 1)]
    before = Scene(disks=disks, site=("erase: [{serial: HD0}]",))
    return Scene(disks=disks, standing=standing(w, before))


def no_memory_for_one_more(w: Any) -> Scene:
    before = Scene(disks=[nvme(w, n, 3840) for n in range(3)], profile="epyc-compute", memory=64, hyperconverged=True)
    return replace(before, disks=[*before.disks, nvme(w, 3, 3840)], standing=standing(w, before))


def the_first_selector_decides(w: Any) -> Scene:
    return Scene(disks=[nvme(w, 0, 3840), ssd(w, 0, 1920), ssd(w, 1, 960)], profile="epyc-compute")


def no_disk_at_all(w: Any) -> Scene:
    return Scene(disks=[])


SCENES: list[Callable[[Any], Scene]] = [
    hdds_with_a_db_device,
    two_db_devices_share_evenly,
    nvme_beside_virtual_machines,
    too_little_memory,
    far_too_little_memory,
    few_threads,
    more_hdds_than_slots,
    large_hdds_get_fewer_slots,
    a_db_device_too_small_for_one,
    five_hdds_on_a_sata_ssd,
    db_slots_that_are_too_small,
    db_size_is_obeyed,
    db_size_larger_than_a_slot,
    db_of_small_hdds_is_four_percent,
    db_wanted_but_no_device,
    db_device_with_foreign_data,
    a_db_on_a_spinning_disk,
    a_wal_device_beside_the_db,
    a_wal_device_too_small,
    two_osds_per_nvme,
    flash_needs_no_db_device,
    drive_groups_in_order,
    a_group_by_or_and_by_serial,
    groups_that_make_no_sense,
    no_group_for_the_profile,
    no_role_and_no_group,
    a_small_edge_machine,
    all_disks_have_foreign_data,
    a_role_that_wants_exactly_two,
    what_is_on_disks,
    erasure_is_granted,
    devices_that_are_no_disks,
    a_new_disk_takes_a_free_slot,
    formed_osds_stand,
    a_replaced_disk_takes_the_slot,
    the_db_device_is_gone,
    what_was_planned_has_changed,
    a_grant_was_taken_back,
    no_memory_for_one_more,
    the_first_selector_decides,
    no_disk_at_all,
]


def text(found: OsdPlan) -> str:
    """The plan as people would read it."""
    lines = ["OSDs"]
    for osd in found.osds:
        name = "new  " if osd.number < 0 else f"osd.{osd.number}"
        line = f"  {name} {osd.device_class:4} data {osd.data.serial}"
        line += f" part {osd.part}" if osd.part else ""
        line += f" {osd.data_size} bytes"
        for what, ref, size, slot in (
            ("db", osd.db, osd.db_size, osd.slot),
            ("wal", osd.wal, osd.wal_size, osd.wal_slot),
        ):
            line += f", {what} {ref.serial} slot {slot} {size} bytes" if ref else ""
        lines.append(f"{line}{', encrypted' if osd.encrypted else ''}{f', group {osd.group}' if osd.group else ''}")
    lines += ["", "Disks"]
    for choice in found.choices:
        role = f" {choice.role}" if choice.role else ""
        lines.append(f"  {choice.fate}{role} {choice.serial} {show_size(choice.size)}; on it now: {choice.now}")
        lines.append(f"      why: {choice.why}")
    lines += ["", "Waiting", *(f"  ! {wait.about}: {wait.reason}: {wait.text}" for wait in found.waits)]
    lines += ["", "Budget", f"  {found.budget.text if found.budget else 'none'}"]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_scene(scene: Callable[[Any], Scene], workshop: Any, golden: Any) -> None:
    candidate, found = made(workshop, scene(workshop))
    disks = [disk.serial for disk in candidate.inventory.disks if disk.serial != "SYS"]
    assert sorted(choice.serial for choice in found.choices) == sorted(disks)
    assert all(choice.why for choice in found.choices)
    golden.check(f"disks/{scene.__name__.replace('_', '-')}.txt", text(found))


def test_disks_in_use_by_ceph_are_no_system_disks(workshop: Any) -> None:
    """Of a machine in service everything in use is taken for its system at first."""
    before = Scene(disks=[*hdds(workshop, 2), nvme(workshop, 0)])
    accepted = standing(workshop, before)
    candidate, _ = made(workshop, replace(before, disks=become(before.disks, LVM_OSD)))
    running = replace(candidate, system=candidate.inventory.disks, standing=True)
    site = workshop.site()
    found = plan_osds(site, PLAIN, running, claims(site, [candidate.machine]), accepted, hyperconverged=False)
    assert found.osds == accepted
    assert [choice.serial for choice in found.choices] == ["HD0", "HD1", "NV0"]
    fresh = plan_osds(
        site, PLAIN, replace(running, standing=False), claims(site, [candidate.machine]), accepted, hyperconverged=False
    )
    assert fresh.osds == ()


def test_osds_of_other_machines_are_ignored(workshop: Any) -> None:
    scene = Scene(disks=hdds(workshop, 2))
    other = tuple(replace(osd, machine="m-2") for osd in standing(workshop, scene))
    _, found = made(workshop, replace(scene, standing=other))
    assert [osd.number for osd in found.osds] == [-1, -1]
    assert found.waits == ()
