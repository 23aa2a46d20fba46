"""Layouts for tests of kinds: what the planner makes of a few boxes with disks, and who they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from agent.inventory import Content
from appliance.model.ceph import (
    CephHost,
    CephLayout,
    CephSpec,
    DiskRef,
    OsdBudget,
    OsdLayout,
    PoolSpec,
    Service,
    ServiceLayout,
)
from appliance.model.place import Place, Rack
from appliance.model.plan import DiskChoice, DiskFate
from appliance.plan.candidate import Candidate
from appliance.plan.ceph.pools import plan_pools
from appliance.plan.ceph.services import place_services
from appliance.plan.crush.crushmap import path_of, tree
from tests.unit.plan import floor

FSID = "7d0f3a52-0c52-5a53-8a3e-1b0a34f3c0de"
BLANK = Content(blank=True, edges="blank").fingerprint()
GIB = 1 << 30
NETWORKS = {"storage-public": "10.77.1.0/24", "storage-cluster": "10.77.2.0/24"}
BLOCK = PoolSpec(name="vms", service=Service.BLOCK)
FILE = PoolSpec(name="fs", service=Service.FILE)
OBJECT = PoolSpec(name="s3", service=Service.OBJECT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """One machine with data disks, by serial; ``db`` is the serial of a DB device for all of them."""

    name: str
    rack: Rack | None = None
    disks: tuple[str, ...] = ()
    db: str = ""
    device_class: str = "ssd"
    size: int = 8 * GIB
    memory: int = 64 * GIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that `steps` is asked with, but the state."""

    layout: CephLayout
    hosts: Mapping[str, CephHost]
    choices: tuple[DiskChoice, ...]
    before: CephLayout | None = None
    networks: Mapping[str, str] = field(default_factory=lambda: dict(NETWORKS))


def boxes(number: int, osds: int = 2, *, racks: int = 0, datacenters: int = 0, **facts: object) -> list[Box]:
    """``h1`` … in turns over racks."""
    found = floor.racks(racks, datacenters=datacenters) if racks else ()
    return [
        Box(
            name=f"h{n}",
            rack=found[(n - 1) % len(found)] if found else None,
            disks=tuple(f"S{n:03d}D{slot}" for slot in range(1, osds + 1)),
            **facts,  # type: ignore[arg-type]
        )
        for n in range(1, number + 1)
    ]


def disk(serial: str, size: int = 8 * GIB) -> DiskRef:
    return DiskRef(serial=serial, wwn=f"naa.3{serial.lower()}", model="LAB-SSD", size=size, fingerprint=BLANK)


def scene(
    among: Sequence[Box],
    pools: Sequence[PoolSpec] = (BLOCK, FILE, OBJECT),
    *,
    before: CephLayout | None = None,
    stretch: bool = False,
    refs: Mapping[str, DiskRef] | None = None,
    ids: Mapping[str, str] | None = None,
    fsid: str = FSID,
    tiebreaker: Box | None = None,
) -> Scene:
    """``before`` keeps numbers and services, as a plan's parent does. ``refs`` are disks as they really are, by serial;
    ``ids`` machine ids by name. ``tiebreaker`` of stretch mode: the appliance, or this machine."""
    members = [floor.machine(box.name, box.rack, memory=box.memory) for box in among]
    where = {member.id: (ids or {}).get(member.name, member.id) for member in members}
    site = floor.site(racks=tuple({box.rack.name: box.rack for box in among if box.rack}.values()))
    between = [floor.machine(tiebreaker.name, memory=tiebreaker.memory)] if tiebreaker else []
    word = between[0].name if between else "appliance"
    spec = CephSpec(pools=tuple(pools), stretch=stretch, tiebreaker=word if stretch else "")
    osds = _osds(among, {m.name: m.id for m in members}, refs or {}, before, where)
    holders = frozenset(osd.machine for osd in osds)
    wanted = frozenset(pool.service for pool in pools)
    back = {real: member for member, real in where.items()}
    standing = [replace(one, machine=back.get(one.machine, one.machine)) for one in (before.services if before else ())]
    services, short = place_services(site, spec, members, holders, wanted, standing, outside=[*members, *between])
    made = plan_pools(site, spec, members, osds, before.pools if before else ())
    assert not short and not made.waits, (short, made.waits)
    layout = CephLayout(
        name="ceph",
        fsid=fsid,
        members=tuple(where[member.id] for member in members),
        public="storage-public",
        cluster="storage-cluster",
        hyperconverged=False,
        stretch=stretch,
        services=tuple(replace(one, machine=where.get(one.machine, one.machine)) for one in services),
        osds=tuple(replace(osd, machine=where[osd.machine]) for osd in osds),
        budgets=tuple(_budget(where[m.id], sum(o.machine == m.id for o in osds)) for m in members if m.id in holders),
        buckets=tree(site, members, osds),
        rules=made.rules,
        pools=made.pools,
    )
    hosts = {where.get(one.id, one.id): _host(where.get(one.id, one.id), one) for one in (*members, *between)}
    if stretch:
        hosts["appliance"] = CephHost(machine="appliance", name="appliance", address="10.77.1.254")
    return Scene(layout=layout, hosts=hosts, choices=choices(layout.osds), before=before)


def _host(machine: str, member: Candidate) -> CephHost:
    number = int(member.name.strip("hn"))
    return CephHost(machine=machine, name=member.name, address=f"10.77.1.{number}", location=_location(member.place))


def _location(place: Place) -> tuple[tuple[str, str], ...]:
    return tuple((level.value, name) for level, name in path_of(place))


def _budget(machine: str, osds: int) -> OsdBudget:
    return OsdBudget(
        machine=machine,
        osds=osds,
        memory=64 * GIB,
        memory_target=4 * GIB,
        memory_needed=8 * GIB * osds,
        threads=16,
        threads_needed=osds,
        hyperconverged=False,
        fits=True,
        text="",
    )


def _osds(
    among: Sequence[Box],
    ids: Mapping[str, str],
    refs: Mapping[str, DiskRef],
    before: CephLayout | None,
    where: Mapping[str, str],
) -> tuple[OsdLayout, ...]:
    """Standing ones keep their numbers; a disk that is new on a host takes the number of one that is gone from it, as a
    planned replacement does; others get the lowest that nobody has."""
    old = {(osd.machine, osd.data.serial): osd.number for osd in (before.osds if before else ())}
    kept = {(where[ids[box.name]], serial) for box in among for serial in box.disks}
    free = {n: machine for (machine, serial), n in old.items() if (machine, serial) not in kept}
    taken = set(old.values())
    found = []
    for box in among:
        for slot, serial in enumerate(box.disks):
            machine = where[ids[box.name]]
            number = old.get((machine, serial), -1)
            if number < 0:
                mine = [n for n, whose in free.items() if whose == machine]
                number = min(mine) if mine else next(n for n in range(1000) if n not in taken)
                free.pop(number, None)
            taken.add(number)
            data = refs.get(serial) or disk(serial, box.size)
            db = refs.get(box.db) or disk(box.db, box.size) if box.db else None
            found.append(
                OsdLayout(
                    number=number,
                    machine=ids[box.name],
                    data=data,
                    data_size=data.size,
                    device_class=box.device_class,
                    db=db,
                    db_size=db.size // len(box.disks) if db else 0,
                    slot=slot if db else 0,
                )
            )
    return tuple(sorted(found, key=lambda osd: osd.number))


def choices(osds: Sequence[OsdLayout]) -> tuple[DiskChoice, ...]:
    """All disks of the OSDs are assigned."""
    found: dict[tuple[str, str], DiskChoice] = {}
    for osd in osds:
        for one in (osd.data, osd.db, osd.wal):
            if one is not None:
                found[osd.machine, one.serial] = DiskChoice(
                    machine=osd.machine,
                    serial=one.serial,
                    wwn=one.wwn,
                    model=one.model,
                    size=one.size,
                    path="/dev/sdx",
                    role="osd",
                    fate=DiskFate.ASSIGN,
                    now="blank",
                    why="",
                    fingerprint=one.fingerprint,
                )
    return tuple(found.values())


def services(layout: CephLayout, kind: str) -> tuple[ServiceLayout, ...]:
    return tuple(one for one in layout.services if one.kind == kind)
