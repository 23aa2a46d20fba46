"""Laws of the OSD planner, on machines, drive groups and accepted plans that nobody would think of."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.wire import Content, Cpu, Disk, Environment, Firmware, Inventory, Memory, Signature, Smart
from appliance.model.ceph import CephSpec, DeviceFilter, DriveGroup, FilterLogic, OsdLayout
from appliance.model.machine import Machine, Phase, Policy
from appliance.model.observed import ObservedMachine
from appliance.model.place import Place
from appliance.model.plan import Allocation, DiskFate
from appliance.plan.candidate import Candidate
from appliance.plan.disks.reject import device_findings
from appliance.plan.disks.verdict import Claims
from appliance.plan.osd.batch import EXTENT, usable
from appliance.plan.osd.budget import FLOOR
from appliance.plan.osd.machine import OsdPlan, plan_osds
from appliance.plan.osd.standing import formed
from appliance.site.load import load_text
from hwprofiles.loader import load_profiles
from hwprofiles.normal import PLACEHOLDERS, clean, serial_key
from hwprofiles.profile import Bytes, DiskRole, DiskRoleName, DiskSelector, Profile
from hwprofiles.profile import Content as Wanted

LAWS = settings(derandomize=True, deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])
BLANK = Content(blank=True, edges="00")
FOREIGN = Content(signatures=(Signature(kind="xfs"),), edges="11")
OLD_OSD = Content(signatures=(Signature(kind="ceph_bluestore", label="osd.9", owner="fsid"),), edges="22")
SERIALS = [f"S{number}" for number in range(40)]
SITE = load_text(
    "site: law\nnetworks: {provisioning: {cidr: 10.0.0.0/24}}\n", "site.yaml", load_profiles(), ("debian-13",)
)
GB = 10**9
MIXED = Profile(
    name="mixed",
    description="",
    disks=(
        DiskRole(
            role=DiskRoleName.OSD,
            count=0,
            choose=(
                DiskSelector(rotational=True, min_size=Bytes(GB), content=Wanted.FREE),
                DiskSelector(rotational=True),
                DiskSelector(rotational=False, min_size=Bytes(2000 * GB)),
            ),
        ),
        DiskRole(
            role=DiskRoleName.DB, count=0, choose=(DiskSelector(transport=("nvme",)), DiskSelector(rotational=False))
        ),
    ),
)
PROFILES = [MIXED, *(profile for profile in load_profiles() if profile.name in ("arm-storage", "epyc-compute"))]


def usual(random: Random, position: int, serial: str) -> Disk:
    """What a sane machine has."""
    kind = random.random()
    return Disk(
        path=f"/dev/sd{position}",
        serial=serial,
        size=random.choice([4000 * GB, 4000 * GB, 16000 * GB]) if kind < 0.7 else random.choice([1920 * GB, 3840 * GB]),
        model="Optane" if kind > 0.95 else "A",
        transport="sas" if kind < 0.7 else "nvme",
        rotational=kind < 0.7,
        bus_path=f"pci-0000:{position:02x}:00.0",
        content=BLANK,
    )


def disk(random: Random, position: int, serial: str) -> Disk:
    """Mostly sane: a spinning disk, a SATA SSD or an NVMe; sometimes something that must never be touched."""
    transport, rotational = random.choice(
        [("sas", True), ("sas", True), ("sata", True), ("sata", False), ("nvme", False)]
    )
    if random.random() < 0.05:
        transport = random.choice(["usb", "mmc", "virtio", ""])
    content = random.choices([BLANK, FOREIGN, OLD_OSD, Content(edges="33")], [8, 1, 1, 1])[0]
    return Disk(
        path=f"/dev/sd{position}",
        serial=serial if random.random() < 0.97 else random.choice(["", "S1", "N/A"]),
        wwn=random.choice(["", "", "0x5000c500e4a10001"]) if random.random() < 0.1 else "",
        size=random.choice([4 * GB, 120 * GB, 480 * GB, 1920 * GB, 3840 * GB, 4000 * GB, 16000 * GB, 24000 * GB]),
        model=random.choice(["A", "B", "Optane"]),
        vendor=random.choice(["X", "Y"]),
        transport=transport,
        rotational=rotational,
        removable=random.random() < 0.03,
        read_only=random.random() < 0.02,
        bus_path=f"pci-0000:{position:02x}:00.0",
        content=replace(content, in_use=random.random() < 0.03),
        smart=Smart(healthy=False) if random.random() < 0.03 else None,
    )


def device_filter(random: Random) -> DeviceFilter:
    if random.random() < 0.3:
        return DeviceFilter()
    if random.random() < 0.2:
        return DeviceFilter(all=True, limit=random.choice([0, 0, 2]))
    return DeviceFilter(
        rotational=random.choice([True, False, None]),
        size=random.choice(["", "", "1TB:", ":500GB", "16TB"]),
        model=random.choice(["", "", "a", "optane"]),
        vendor=random.choice(["", "", "x"]),
        limit=random.choice([0, 0, 0, 1, 3]),
        serials=tuple(random.sample(SERIALS, 3)) if random.random() < 0.1 else (),
    )


def drive_group(random: Random, name: str) -> DriveGroup:
    usual = random.random() < 0.5
    return DriveGroup(
        name=name,
        profiles=random.choice([(), (), ("mixed",)]),
        data=DeviceFilter(rotational=random.random() < 0.7) if usual else device_filter(random),
        db=DeviceFilter(model=random.choice("ab")) if usual else device_filter(random),
        wal=DeviceFilter(model="optane", rotational=False) if random.random() < 0.4 else DeviceFilter(),
        filter_logic=random.choice([FilterLogic.AND, FilterLogic.AND, FilterLogic.OR]),
        osds_per_device=random.choice([1, 1, 2]),
        db_size=random.choice([0, 0, 0, 60 * GB, 300 * GB]),
        db_slots=random.choice([0, 0, 0, 4, 16]),
        device_class=random.choice(["", "", "fast"]),
    )


class Scene:
    """A machine, a spec, claims: all from one seed (with Hypothesis' own choices most scenes would be too odd)."""

    def __init__(self, seed: int) -> None:
        random = Random(seed)
        serials = random.sample(SERIALS, random.randrange(3, 20))
        make = random.choice([usual, disk])
        self.disks = [make(random, position, serial) for position, serial in enumerate(serials)]
        self.extra = [
            make(random, position, serial)
            for position, serial in enumerate([f"E{number}" for number in range(random.randrange(6))], 100)
        ]
        self.extra = [one for one in self.extra if one.serial.startswith("E")]  # never a twin of one that stands
        self.profile = random.choice(PROFILES)
        names = ["a", "b", "c"][: random.choice([0, 0, 1, 2, 3])]
        self.spec = CephSpec(groups=tuple(drive_group(random, name) for name in names), encrypted=random.random() < 0.2)
        self.claims = Claims(
            granted=frozenset(random.sample(SERIALS, 6)),
            protected=frozenset(random.sample(SERIALS, random.choice([0, 0, 2]))),
            ambiguous=frozenset(random.sample(SERIALS, random.choice([0, 0, 2]))),
        )
        self.memory = random.choice([32, 128, 512, 1024])
        self.hyperconverged = random.random() < 0.5
        self.order = random

    def plan(self, disks: list[Disk], standing: tuple[OsdLayout, ...] = (), claims: Claims | None = None) -> OsdPlan:
        self.machine = ObservedMachine(
            machine=Machine(id="m-1", policy=Policy.USE, phase=Phase.READY, phase_since=0.0),
            inventory=Inventory(
                environment=Environment.IMAGE,
                architecture="x86_64",
                firmware=Firmware.UEFI,
                memory=Memory(total=self.memory << 30),
                cpu=Cpu(threads=32),
                disks=tuple(disks),
            ),
        )
        assert self.machine.inventory is not None
        candidate = Candidate(
            machine=self.machine,
            inventory=self.machine.inventory,
            profile=self.profile,
            place=Place(),
            given=Allocation(machine="m-1", name="n1", address="", profile=self.profile.name),
            system=tuple(disks[:1]),
        )
        known = claims or self.claims
        return plan_osds(SITE, self.spec, candidate, known, standing, hyperconverged=self.hyperconverged)


scenes = st.integers(0, 9999).map(Scene)


def numbered(found: OsdPlan) -> tuple[OsdLayout, ...]:
    """The plan as it stands once it was accepted."""
    return tuple(replace(osd, number=number) for number, osd in enumerate(found.osds))


def written(disks: list[Disk], standing: tuple[OsdLayout, ...]) -> list[Disk]:
    """The disks after Ceph has written what was planned."""
    taken = {ref.serial for osd in standing for ref in (osd.data, osd.db, osd.wal) if ref}
    label = replace(OLD_OSD, edges="44", in_use=True)
    return [replace(one, content=label) if one.serial in taken else one for one in disks]


def test_the_scenes_are_worth_it() -> None:
    """Laws prove little when few scenes have OSDs, DBs, waits, or room for more."""
    count: Counter[str] = Counter()
    for scene in map(Scene, range(300)):
        found = scene.plan(scene.disks)
        count["all"] += 1
        count["osds"] += bool(found.osds)
        count["db"] += any(osd.db for osd in found.osds)
        count["wal"] += any(osd.wal for osd in found.osds)
        count["parts"] += any(osd.part for osd in found.osds)
        count["memory"] += any(wait.reason == "too-little-memory" for wait in found.waits)
        count["foreign"] += any(wait.reason == "foreign-data" for wait in found.waits)
        count["layout"] += any(wait.reason == "layout" for wait in found.waits)
        standing = numbered(found)
        more = scene.plan([*written(scene.disks, standing), *scene.extra], standing)
        count["joined"] += any(osd.number < 0 for osd in more.osds)
        devices = {one.db.serial for one in standing if one.db}
        count["joined a db"] += any(osd.number < 0 and osd.db and osd.db.serial in devices for osd in more.osds)
    assert count["osds"] * 3 >= count["all"], count
    assert min(count.values()) >= 3, count


@LAWS
@given(scenes)
def test_every_disk_has_one_choice_and_a_reason(scene: Scene) -> None:
    found = scene.plan(scene.disks)
    assert sorted(choice.path for choice in found.choices) == sorted(one.path for one in scene.disks[1:])
    assert all(choice.why for choice in found.choices)
    assert all((choice.fate is DiskFate.ASSIGN) == bool(choice.role) for choice in found.choices)


@LAWS
@given(scenes)
def test_no_disk_has_two_owners(scene: Scene) -> None:
    found = scene.plan(scene.disks)
    owners: dict[str, set[tuple[str, str]]] = {}
    for osd in found.osds:
        for role, ref in (("osd", osd.data), ("db", osd.db), ("wal", osd.wal)):
            if ref:
                owners.setdefault(ref.serial + ref.wwn, set()).add((role, osd.group))
    assert all(len({role for role, _ in uses}) == 1 for uses in owners.values())
    parts = Counter((osd.data.serial, osd.data.wwn, osd.part) for osd in found.osds)
    assert not parts or max(parts.values()) == 1
    named = {choice.serial + choice.wwn: choice.role for choice in found.choices if choice.role}
    assert named == {key: next(iter(uses))[0] for key, uses in owners.items()}


@LAWS
@given(scenes)
def test_nothing_that_must_stay_is_taken(scene: Scene) -> None:
    """Not the system disk, nothing protected, no foreign data without a grant, no device that is unfit."""
    found = scene.plan(scene.disks)
    by_path = {one.path: one for one in scene.disks[1:]}
    keys = Counter((serial_key(one.serial), one.wwn.lower()) for one in scene.disks)
    for choice in found.choices:
        one = by_path[choice.path]
        serial = serial_key(one.serial)
        if choice.fate is DiskFate.ASSIGN:
            assert serial not in scene.claims.protected
            assert one.content.blank or (serial in scene.claims.granted and serial not in scene.claims.ambiguous)
            assert not device_findings(one)
            assert keys[serial, one.wwn.lower()] == 1


@LAWS
@given(scenes)
def test_volumes_fit_their_devices(scene: Scene) -> None:
    """Data parts and slots together are never larger than their device; slots are used once; a DB has 1 % unless asked."""
    standing = numbered(scene.plan(scene.disks))
    found = scene.plan([*written(scene.disks, standing), *scene.extra], standing)
    bytes_of: Counter[tuple[str, str, int]] = Counter()
    slots: Counter[tuple[str, str, int]] = Counter()
    sizes = {group.name: group.db_size for group in scene.spec.groups}
    for osd in found.osds:
        bytes_of[osd.data.serial, osd.data.wwn, osd.data.size] += osd.data_size
        assert osd.data_size % EXTENT == osd.db_size % EXTENT == 0
        assert osd.data_size > 0
        if osd.db:
            bytes_of[osd.db.serial, osd.db.wwn, osd.db.size] += osd.db_size
            slots[osd.db.serial, osd.db.wwn, osd.slot] += 1
            assert sizes.get(osd.group) or osd.data_size <= 100 * (osd.db_size + EXTENT)
        if osd.wal:
            bytes_of[osd.wal.serial, osd.wal.wwn, osd.wal.size] += osd.wal_size
            slots[osd.wal.serial, osd.wal.wwn, osd.wal_slot] += 1
    assert all(size <= usable(device[2]) for device, size in bytes_of.items())
    assert not slots or max(slots.values()) == 1


@LAWS
@given(scenes)
def test_the_order_of_disks_does_not_matter(scene: Scene) -> None:
    first = scene.plan(scene.disks)
    rest = scene.disks[1:]
    scene.order.shuffle(rest)
    assert scene.plan([scene.disks[0], *rest]) == first


@LAWS
@given(scenes)
def test_what_stands_is_not_moved(scene: Scene) -> None:
    """Planned again, written by Ceph, or with more disks: the accepted OSDs are the same, to the byte."""
    standing = numbered(scene.plan(scene.disks))
    assert scene.plan(scene.disks, standing).osds == standing
    more = scene.plan([scene.disks[0], *scene.extra, *scene.disks[1:]], standing)
    assert tuple(osd for osd in more.osds if osd.number >= 0) == standing
    done = written(scene.disks, standing)
    assert [osd for osd in scene.plan(done, standing).osds if osd.number >= 0] == list(standing)


@LAWS
@given(scenes)
def test_what_is_gone_is_named(scene: Scene) -> None:
    """Without one of its disks an OSD is dropped with a wait that has its number; the others stay."""
    standing = numbered(scene.plan(scene.disks))
    if not standing:
        return
    lost = scene.order.choice([ref for osd in standing for ref in (osd.data, osd.db, osd.wal) if ref])
    left = [one for one in scene.disks if (one.serial, one.wwn, one.size) != (lost.serial, lost.wwn, lost.size)]
    found = scene.plan(left, standing)
    stays = {osd.number for osd in found.osds}
    for osd in standing:
        if lost in (osd.data, osd.db, osd.wal):
            assert osd.number not in stays
            assert any(wait.text.startswith(f"osd.{osd.number}: ") for wait in found.waits)
        else:
            assert osd in found.osds


@LAWS
@given(scenes)
def test_a_grant_taken_back_writes_nothing(scene: Scene) -> None:
    """What was accepted with grants does not stand without them, unless Ceph has written it; protection counts at once."""
    standing = numbered(scene.plan(scene.disks))
    claims = Claims(granted=frozenset(), protected=frozenset(SERIALS[:12]), ambiguous=frozenset())
    by_path = {one.path: one for one in scene.disks}
    for choice in scene.plan(scene.disks, standing, claims).choices:
        if choice.fate is DiskFate.ASSIGN:
            assert by_path[choice.path].content.blank
            assert serial_key(choice.serial) not in claims.protected
    for choice in scene.plan(written(scene.disks, standing), standing, claims).choices:
        if choice.fate is DiskFate.ASSIGN:
            one = next(one for one in written(scene.disks, standing) if one.path == choice.path)
            assert one.content.blank or formed(one)
            assert serial_key(choice.serial) not in claims.protected


@LAWS
@given(scenes)
def test_new_osds_have_the_memory(scene: Scene) -> None:
    """New OSDs come only with 4 GiB for each OSD of the machine."""
    standing = numbered(scene.plan(scene.disks))
    for found in (scene.plan(scene.disks), scene.plan([*scene.disks, *scene.extra], standing)):
        share = (scene.memory << 30) * (20 if scene.hyperconverged else 70) // 100
        if any(osd.number < 0 for osd in found.osds):
            assert len(found.osds) * FLOOR <= share
            assert found.budget is not None and found.budget.fits
            assert found.budget.memory_target * len(found.osds) <= share


@LAWS
@given(st.one_of(st.text(), st.text("aAxX0 -.1", max_size=6), st.sampled_from(sorted(PLACEHOLDERS)).map(str.upper)))
def test_the_short_way_to_a_serial_is_the_long_one(text: str) -> None:
    assert serial_key(text) == clean(text).upper()
