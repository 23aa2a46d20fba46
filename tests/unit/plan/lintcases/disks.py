"""Disks and OSDs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.wire import Content, Cpu, Memory, Signature, Smart
from appliance.model.ceph import CephSpec, DriveGroup
from appliance.model.plan import DiskChoice, DiskFate, WaitReason
from appliance.model.site import EraseGrant
from tests.unit.plan.lintcases.case import case
from tests.unit.plan.lintcases.sane import GIB, TB, Sane, disk, reference, who

FOREIGN = Content(signatures=(Signature(kind="xfs", label="archive"),), edges="12")


def choice(s: Sane, number: int, index: int, **facts: Any) -> DiskChoice:
    """A line of the plan's list of disks."""
    inventory = s.machines[number].inventory
    assert inventory is not None
    found = inventory.disks[index]
    return DiskChoice(
        **{
            "machine": who(number),
            "serial": found.serial,
            "wwn": found.wwn,
            "model": found.model,
            "size": found.size,
            "path": found.path,
            "role": "osd",
            "fate": DiskFate.ASSIGN,
            "now": "blank",
            "why": "test",
            "fingerprint": found.content.fingerprint(),
            **facts,
        }
    )


def listed(s: Sane, *, skip: int = -1, fate: DiskFate = DiskFate.ASSIGN, extra: tuple[DiskChoice, ...] = ()) -> None:
    """The list of host 1's disks, all of Ceph assigned; ``skip`` is left out, or gets another ``fate``."""
    choices = [choice(s, 1, index) for index in range(1, 9) if index != skip]
    if skip >= 0 and fate is not DiskFate.ASSIGN:
        choices.append(choice(s, 1, skip, fate=fate))
    s.plan = replace(s.plan, disks=(*choices, *extra))


def data_of(s: Sane, number: int, serial: str) -> None:
    """OSD ``number`` takes another disk of its machine."""
    inventory = next(m.inventory for m in s.machines.values() if m.machine.id == s.ceph.osds[number].machine)
    assert inventory is not None
    s.osd(number, data=reference(next(one for one in inventory.disks if one.serial == serial)))


def unique(s: Sane, number: int, index: int, **facts: Any) -> None:
    """A change of a disk that its name in the layout follows."""
    before = s.machines[number].inventory
    assert before is not None
    serial = before.disks[index].serial
    s.disk(number, index, **facts)
    after = s.machines[number].inventory
    assert after is not None
    s.refer(serial, serial=after.disks[index].serial, wwn=after.disks[index].wwn, size=after.disks[index].size)


def shared(s: Sane) -> None:
    for number in (1, 2):
        unique(s, number, 1, serial="SHARED", wwn="0x5000c500e4a10001")


def grow(s: Sane) -> None:
    """Two more disks in host 1 that nobody uses."""
    inventory = s.machines[1].inventory
    assert inventory is not None
    s.observe(1, disks=(*inventory.disks, *(disk(f"SPARE{n}", TB, "", "sas", rotational=True) for n in range(2))))


def no_identity(s: Sane) -> None:
    unique(s, 1, 1, serial="", wwn="")


# ---------------------------------------------------------------- the list that people read

case(
    "unnamed-assignment",
    lambda s: listed(s, skip=3),
    lambda s: listed(s, skip=3, fate=DiskFate.KEEP),
)
case("idle-assignment", lambda s: (grow(s), listed(s, extra=(choice(s, 1, 9),))), also="disks-unused")
case("disks-unused", grow)
case("serial-in-two-machines", lambda s: (grow(s), twin(s)), also="disks-unused")


def twin(s: Sane) -> None:
    """The plan erases a spare disk of host 1; host 2 has one with the same serial, which is removable."""
    inventory = s.machines[2].inventory
    assert inventory is not None
    s.observe(2, disks=(*inventory.disks, disk("SPARE0", TB, "", "usb", removable=True)))
    listed(s, extra=(choice(s, 1, 9, fate=DiskFate.ERASE),))


# ---------------------------------------------------------------- OSDs and their disks

case("disk-in-two-osds", lambda s: data_of(s, 1, "HDD10"), also="osds-exceed-disk disks-unused")
case("disk-in-two-osds", lambda s: s.osd(0, part=1))
case(
    "disk-data-and-db",
    lambda s: (data_of(s, 0, "DB10"), s.osd(0, data_size=TB)),
    also="disks-unused mixed-sizes class-unlike-disk",
)
case(
    "system-disk-in-ceph",
    lambda s: (data_of(s, 0, "SYS1"), s.osd(0, data_size=400 * 10**9)),
    also="disks-unused mixed-sizes class-unlike-disk",
)
case(
    "system-disk-in-ceph",
    lambda s: listed(s, skip=1, fate=DiskFate.ERASE),
)
case("osd-on-protected-disk", lambda s: s.of_site(protect=("hdd10",)), lambda s: s.of_site(protect=("DB10",)))
case("osd-foreign-data", lambda s: s.disk(1, 1, content=FOREIGN), lambda s: s.disk(1, 5, content=FOREIGN))
case("osd-disk-missing", lambda s: s.refer("HDD10", serial="GONE"), also="disks-unused")
case("osd-disk-missing", no_identity)
case(
    "osd-disk-unseen",
    lambda s: (s.refer("HDD10", serial="GONE"), s.wait("ceph", WaitReason.STANDS)),
    also="disks-unused",
)
case(
    "osd-disk-unfit",
    lambda s: s.disk(1, 1, removable=True),
    lambda s: s.disk(1, 1, transport="usb"),
    lambda s: s.disk(1, 7, read_only=True),
)
case(
    "osd-disk-unfit",
    lambda s: (unique(s, 1, 1, size=4 * GIB), s.osd(0, data_size=4 * GIB)),
    also="mixed-sizes",
)
case("osd-content-changed", lambda s: s.refer("HDD10", fingerprint="cd" * 32))
case("osd-without-size", lambda s: s.osd(0, db_size=0))
case("osd-without-size", lambda s: s.osd(0, db=None))
case("osd-without-size", lambda s: s.osd(0, wal_size=GIB))
case("osd-without-size", lambda s: s.osd(0, wal=s.ceph.osds[0].db))
case("osd-without-class", lambda s: s.osd(0, device_class=""))
case("osds-exceed-disk", lambda s: s.osd(0, data_size=16 * TB + 1))
case("db-slots-exceed-device", lambda s: s.osd(0, db_size=TB), lambda s: s.osd(0, slot=1))
case("db-slots-exceed-device", lambda s: s.osd(4, wal=s.ceph.osds[0].db, wal_size=GIB))
case("osd-number-twice", lambda s: s.osd(0, number=1), also="bucket-item-unknown")
case(
    "osd-not-in-member",
    lambda s: s.of_ceph(members=s.ceph.members[:-1]),
    lambda s: s.of_ceph(members=(*s.ceph.members, "m-1")),
    lambda s: s.of_ceph(members=(*s.ceph.members, "m-77")),
)
case(
    "osd-encryption",
    lambda s: s.of_site(ceph=CephSpec(encrypted=True)),
    lambda s: s.of_site(ceph=CephSpec(groups=(DriveGroup(name="bulk", encrypted=True),))),
)
case("disk-in-two-machines", shared)

# ---------------------------------------------------------------- what kind of devices


def model(index: int, name: str, **facts: Any) -> Any:
    return lambda s: s.disk(1, index, model=name, **facts)


case(
    "consumer-flash",
    *(
        model(7, name)
        for name in (
            "Samsung SSD 870 EVO 4TB",
            "Samsung SSD 990 PRO 4TB",
            "CT4000MX500SSD1",
            "CT4000P3SSD8",
            "WDS400T2B0A-00SM50",
            "KINGSTON SA400S37960G",
            "KXG60ZNV256G TOSHIBA",
        )
    ),
)
case("raid-volume", *(model(1, name) for name in ("PERC H740P Mini", "LOGICAL VOLUME", "MR9361-8i", "MegaRAID 9560")))
case("rotation-contradicts", model(1, "Micron_5300_MTFDDAK3T8TDS"))
case("rotation-contradicts", model(1, "HGST HUS728T8TALE6L4", rotational=False), also="class-unlike-disk")
case("class-unlike-disk", lambda s: s.disk(1, 1, rotational=False, model="SAS flash of a vendor"))
case("unhealthy-osd-disk", *(lambda s, n=n: s.disk(1, n, smart=Smart(healthy=False)) for n in (1, 5)))
case("osd-disk-in-use", lambda s: s.disk(1, 1, content=Content(blank=True, edges="00" * 32, in_use=True)))
case(
    "db-blast-radius",
    lambda s: [s.osd(n, db=s.ceph.osds[0].db, slot=n, db_size=TB // 4) for n in range(4)],
    also="disks-unused",
)
case("db-small", lambda s: s.osd(0, db_size=100 * 10**9))
case("db-no-faster", lambda s: s.disk(1, 5, rotational=True, transport="sas", model="of a vendor"))
case("mixed-sizes", lambda s: s.osd(0, data_size=8 * TB))


def small(s: Sane) -> None:
    """One OSD in each host, on NVMe, and nothing else."""
    some = tuple(osd for osd in s.ceph.osds if osd.number % 6 == 4)
    for number, found in s.machines.items():
        assert found.inventory is not None
        s.observe(number, disks=(found.inventory.disks[0], found.inventory.disks[7]))
    s.of_ceph(
        osds=some,
        budgets=tuple(replace(budget, osds=1) for budget in s.ceph.budgets),
        buckets=tuple(
            replace(bucket, items=bucket.items[4:5]) if bucket.level == "host" else bucket for bucket in s.ceph.buckets
        ),
        pools=(replace(s.ceph.pools[0], pg_num=256),),
        rules=s.ceph.rules[:1],
        capacity=(),
    )


case("few-osds", small)
case(
    "osd-memory-short",
    lambda s: s.budget(1, memory_target=9 * GIB),
    lambda s: s.budget(1, memory_target=GIB),
    lambda s: s.budget(1, fits=False),
    lambda s: s.budget(1, osds=5),
    lambda s: s.budget(1, machine="m-99"),
    lambda s: s.observe(1, memory=Memory(total=128 * GIB)),
)
case("osd-memory-short-standing", lambda s: (s.budget(1, fits=False), s.wait("n1", WaitReason.TOO_LITTLE_MEMORY)))


def alone(s: Sane) -> None:
    """Host 1 stores only: it is in no cluster."""
    members = s.plan.desired.clusters[0].members[1:]
    s.node(1, cluster="")
    s.cluster(members=members, arbiter="", votes=7, quorum=4, tolerates=3)


case(
    "osd-memory-tight",
    lambda s: (alone(s), s.observe(1, memory=Memory(total=56 * GIB)), s.budget(1, memory_target=6 * GIB)),
    also="few-nodes",
)
case("osd-threads-tight", lambda s: s.observe(1, cpu=Cpu(model="AMD EPYC 7232P", vendor="AuthenticAMD", threads=8)))

# ---------------------------------------------------------------- grants

case(
    "grant-ambiguous",
    lambda s: (shared(s), s.of_site(erase=(EraseGrant(serial="SHARED", reason="old"),))),
    also="disk-in-two-machines",
)
