"""Ceph in words: daemons, OSDs host by host, memory, pools with what they hold, survive and give; and what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from appliance.model.ceph import (
    Capacity,
    CephLayout,
    DiskRef,
    OsdBudget,
    OsdLayout,
    PoolLayout,
    RuleLayout,
    Throughput,
)
from appliance.plan.diff.lines import (
    DiffLine,
    LineKind,
    changed,
    count,
    create,
    grouped,
    heading,
    ranges,
    show_bytes,
    show_rate,
    why,
)
from hwprofiles.normal import serial_key

Names = Mapping[str, str]
"""Machine id → name for people."""
DiskKey = tuple[str, str, str]
"""Machine id, serial and WWN, normalised: which disk of the site."""
SERVICES = {"mon": "monitors", "mgr": "managers", "mds": "metadata servers", "rgw": "object gateways"}


def disk_key(machine: str, serial: str, wwn: str) -> DiskKey:
    """The key that disks of plans and layouts are compared by."""
    return machine, serial_key(serial), wwn.lower()


def lines(now: CephLayout | None, before: CephLayout | None, names: Names) -> Iterator[DiffLine]:
    """Everything that differs between two layouts, with its heading; nothing when they are equal."""
    if now == before:
        return
    found = list(_created(now, names) if now and not before else _removed(now, before, names))
    if found:
        yield from heading("Ceph")
        yield from found


def _created(now: CephLayout, names: Names) -> Iterator[DiffLine]:
    yield create(_cluster(now))
    for kind, hosts in _services(now, names).items():
        yield create(f"{SERVICES.get(kind, kind)}: {hosts}")
    yield from _osds(now.osds, (), names)
    yield from budgets(now.budgets, names)
    for pool in now.pools:
        yield create(pool_text(pool))
        yield from pool_details(now, pool)


def _removed(now: CephLayout | None, before: CephLayout | None, names: Names) -> Iterator[DiffLine]:
    if now is None:
        if before is not None:
            text = (
                f"{before.name} is no longer in the site file: its {count(len(before.osds), 'OSD')} run on, and no plan "
                "knows them any more; put 'ceph:' back to keep them planned"
            )
            yield DiffLine(kind=LineKind.DESTROY, text=text)
        return
    if before is not None:
        yield from _differences(now, before, names)


def _differences(now: CephLayout, before: CephLayout, names: Names) -> Iterator[DiffLine]:
    about = f"ceph {now.name}"
    facts = ("fsid", "public", "cluster", "hyperconverged", "stretch", "frozen")
    yield from changed(about, *((fact, getattr(before, fact), getattr(now, fact)) for fact in facts))
    yield from _members(now, before, names)
    hosts_before, hosts = _services(before, names), _services(now, names)
    for kind, title in SERVICES.items():
        old, new = hosts_before.get(kind, ""), hosts.get(kind, "")
        if new and not old:
            yield create(f"{title}: {new}")
        else:
            yield from changed(title, ("on", old, new))
    yield from _osds(now.osds, before.osds, names)
    known = {budget.machine: (budget.memory_target, budget.fits) for budget in before.budgets}
    yield from budgets((budget for budget in now.budgets if budget.machine not in known), names)
    other = [b for b in now.budgets if known.get(b.machine, (b.memory_target, b.fits)) != (b.memory_target, b.fits)]
    for line in budgets(other, names):
        yield line if line.kind is LineKind.WAIT else DiffLine(kind=LineKind.CHANGE, text=line.text)
    yield from _pools(now, before)


def _members(now: CephLayout, before: CephLayout, names: Names) -> Iterator[DiffLine]:
    came, gone = set(now.members) - set(before.members), set(before.members) - set(now.members)
    if came:
        yield create(f"hosts: {ranges(names.get(who, who) for who in came)}")
    if gone:
        yield DiffLine(kind=LineKind.DESTROY, text=f"hosts leave: {ranges(names.get(who, who) for who in gone)}")


def _cluster(now: CephLayout) -> str:
    kind = "beside the guests" if now.hyperconverged else "on hosts of its own"
    words = [f"ceph {now.name}: {count(len(now.members), 'host')} ({kind})"]
    words.append(f"public network {now.public or 'none'}, cluster network {now.cluster or now.public or 'none'}")
    words += ["stretch mode"] if now.stretch else []
    words += [f"packages frozen at {now.frozen}"] if now.frozen else []
    return f"{'; '.join(words)}; fsid {now.fsid}"


def _services(now: CephLayout, names: Names) -> dict[str, str]:
    """Daemon kind → where they run, with the failure domain of each."""
    table: dict[str, list[str]] = {}
    for service in now.services:
        name = names.get(service.machine, service.machine)
        where = f" ({service.bucket})" if service.bucket not in ("", name) else ""
        table.setdefault(service.kind, []).append(f"{name}{where}")
    return {kind: ", ".join(table[kind]) for kind in (*SERVICES, *sorted(table.keys() - SERVICES)) if kind in table}


# ---------------------------------------------------------------- OSDs


def _osd_key(osd: OsdLayout) -> tuple[DiskKey, int]:
    return disk_key(osd.machine, osd.data.serial, osd.data.wwn), osd.part


def _osds(now: tuple[OsdLayout, ...], before: tuple[OsdLayout, ...], names: Names) -> Iterator[DiffLine]:
    """New OSDs host by host (equal hosts joined: each disk is listed at its machine), changed and removed ones by serial."""
    known = {_osd_key(osd): osd for osd in before}
    new = [osd for osd in now if _osd_key(osd) not in known]
    if new:
        yield create(f"OSDs: {_classes(new)}, {show_bytes(sum(osd.data_size for osd in new))} raw")
        for hosts, text in grouped((names.get(who, who), text) for who, text in host_osds(new).items()):
            yield create(f"{hosts}: {text}")
    left = dict(known)
    for osd in now:
        old = left.pop(_osd_key(osd), None)
        if old is not None and osd.replacing and not old.replacing:
            who = names.get(osd.machine, osd.machine)
            text = f"osd.{osd.number} of {who} leaves disk {show_ref(osd.data)} for a new one"
            yield DiffLine(kind=LineKind.CHANGE, text=text, machine=osd.machine)
        if old is not None and old != osd:
            yield from _changed_osd(osd, old, names)
    for osd in left.values():
        name = names.get(osd.machine, osd.machine)
        text = f"osd.{osd.number} of {name} leaves: disk {show_ref(osd.data)}"
        yield DiffLine(kind=LineKind.DESTROY, text=text, machine=osd.machine)


def _changed_osd(now: OsdLayout, old: OsdLayout, names: Names) -> Iterator[DiffLine]:
    about = f"osd.{now.number} of {names.get(now.machine, now.machine)} (disk {now.data.serial or now.data.wwn})"
    yield from changed(
        about,
        ("number", old.number, now.number),
        ("size", show_bytes(old.data_size), show_bytes(now.data_size)),
        ("class", old.device_class, now.device_class),
        ("DB on", _disk_of(old.db), _disk_of(now.db)),
        ("WAL on", _disk_of(old.wal), _disk_of(now.wal)),
        ("DB size", show_bytes(old.db_size), show_bytes(now.db_size)),
        ("encrypted", old.encrypted, now.encrypted),
    )


def _disk_of(disk: DiskRef | None) -> str:
    return (disk.serial or disk.wwn) if disk else "its data disk"


def _classes(osds: Iterable[OsdLayout]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(Counter(o.device_class for o in osds).items()))


def host_osds(osds: Iterable[OsdLayout]) -> dict[str, str]:
    """Machine id → its OSDs in one line: ``8 OSDs nvme 3.84 TB``."""
    hosts: dict[str, list[OsdLayout]] = {}
    for osd in osds:
        hosts.setdefault(osd.machine, []).append(osd)
    return {who: "; ".join(_kinds(found)) for who, found in hosts.items()}


def _kinds(osds: list[OsdLayout]) -> Iterator[str]:
    """One text per kind of OSD on a host: class, size, DB, encryption."""
    kinds: dict[tuple[str, str, str, str, str, bool], list[OsdLayout]] = {}
    for osd in osds:
        db, wal = show_bytes(osd.db_size) if osd.db else "", show_bytes(osd.wal_size) if osd.wal else ""
        kind = (osd.device_class, show_bytes(osd.data_size), db, wal, osd.data.model, osd.encrypted)
        kinds.setdefault(kind, []).append(osd)
    for (name, size, db, wal, model, encrypted), found in sorted(kinds.items()):
        disks = len({(osd.data.serial, osd.data.wwn) for osd in found})
        parts = f" ({len(found) // disks} a disk)" if len(found) > disks else ""
        text = f"{count(len(found), 'OSD')} {name} {size}{parts}{' ' + model if model else ''}"
        text += f", DB {db} each on {_devices(osd.db for osd in found)}" if db else ""
        text += f", WAL {wal} each on {_devices(osd.wal for osd in found)}" if wal else ""
        yield f"{text}{', encrypted' if encrypted else ''}"


def _devices(disks: Iterable[DiskRef | None]) -> str:
    """``2 × 1.6 TB INTEL … (up to 5 a device)``."""
    devices = Counter((disk.model, disk.size, disk.serial, disk.wwn) for disk in disks if disk)
    shown = Counter(f"{show_bytes(size)}{' ' + model if model else ''}" for model, size, *_ in devices)
    words = " and ".join(f"{number} × {what}" for what, number in sorted(shown.items()))
    return f"{words} (up to {max(devices.values())} a device)"


def show_ref(disk: DiskRef) -> str:
    """Serial (or WWN), size and model of a disk."""
    return f"{disk.serial.strip() or disk.wwn}, {show_bytes(disk.size)}{' ' + disk.model if disk.model else ''}"


def assignments(ceph: CephLayout | None) -> dict[DiskKey, str]:
    """What each disk of the layout is for: ``osd.3 (nvme, 3.84 TB)``, or ``the DB of osd.0, osd.1 (300 GB each)``."""
    data: dict[DiskKey, list[OsdLayout]] = {}
    beside: dict[tuple[DiskKey, str], list[tuple[OsdLayout, int]]] = {}
    for osd in ceph.osds if ceph else ():
        data.setdefault(disk_key(osd.machine, osd.data.serial, osd.data.wwn), []).append(osd)
        for what, disk, size in (("DB", osd.db, osd.db_size), ("WAL", osd.wal, osd.wal_size)):
            if disk is not None:
                beside.setdefault((disk_key(osd.machine, disk.serial, disk.wwn), what), []).append((osd, size))
    table = {}
    for key, found in data.items():
        table[key] = ", ".join(f"osd.{osd.number}" for osd in found)
        table[key] += f" ({found[0].device_class}, {show_bytes(found[0].data_size)}{' each' if len(found) > 1 else ''})"
    for (key, what), pairs in beside.items():
        words = f"the {what} of {', '.join(f'osd.{osd.number}' for osd, _ in pairs)} ({show_bytes(pairs[0][1])} each)"
        table[key] = f"{table[key]}; {words}" if key in table else words
    return table


def budgets(found: Iterable[OsdBudget], names: Names) -> Iterator[DiffLine]:
    """Memory and threads, equal hosts joined; a budget that does not fit is a line to see."""
    listed = [budget for budget in found if budget.text]
    texts = [(names.get(budget.machine, budget.machine), budget.text) for budget in listed]
    bad = {budget.text for budget in listed if not budget.fits}
    for hosts, text in grouped(texts):
        kind = LineKind.WAIT if text in bad else LineKind.CREATE
        yield DiffLine(kind=kind, text=f"memory of {hosts}: {text}")


# ---------------------------------------------------------------- pools


def _pools(now: CephLayout, before: CephLayout) -> Iterator[DiffLine]:
    known = {pool.name: pool for pool in before.pools}
    for pool in now.pools:
        old = known.pop(pool.name, None)
        if old is None:
            yield create(pool_text(pool))
            yield from pool_details(now, pool)
            continue
        different = list(_changed_pool(pool, old)) + list(_changed_rule(now, before, pool))
        yield from different
        here, there = _of(now.capacity, pool), _of(before.capacity, pool)
        grown = isinstance(here, Capacity) and isinstance(there, Capacity) and here.raw != there.raw
        if grown and not different:
            yield DiffLine(kind=LineKind.CHANGE, text=f"pool {pool.name}: what it holds")
        if grown or different:
            yield from pool_details(now, pool)
    for pool in known.values():
        text = f"pool {pool.name} is no longer in the site file: its data would be lost"
        yield DiffLine(kind=LineKind.DESTROY, text=text)


def _changed_pool(now: PoolLayout, old: PoolLayout) -> Iterator[DiffLine]:
    return changed(
        f"pool {now.name}",
        ("protection", _protection(old), _protection(now)),
        ("min_size", old.min_size, now.min_size),
        ("spread over", _spread(old), _spread(now)),
        ("rule", old.rule, now.rule),
        ("class", old.device_class, now.device_class),
        ("PGs", old.pg_num, now.pg_num),
        ("share", f"{old.share:g}", f"{now.share:g}"),
        ("namespaces", ", ".join(old.namespaces), ", ".join(now.namespaces)),
        ("heals", old.heals, now.heals),
    )


def _changed_rule(now: CephLayout, before: CephLayout, pool: PoolLayout) -> Iterator[DiffLine]:
    old, new = rule_of(before, pool), rule_of(now, pool)
    if old is not None and new is not None and old.name == new.name and old.steps != new.steps:
        yield DiffLine(kind=LineKind.CHANGE, text=f"rule {new.name}: {'; '.join(old.steps)} → {'; '.join(new.steps)}")


def _protection(pool: PoolLayout) -> str:
    if pool.erasure is not None:
        return f"erasure coding {pool.erasure.k}+{pool.erasure.m}"
    return f"{count(pool.size, 'copy')}" if pool.size == 1 else f"{pool.size} copies"


def _spread(pool: PoolLayout) -> str:
    each = f", {pool.per_domain} in each" if pool.per_domain > 1 else ""
    inside = f" in {pool.root}" if pool.root not in ("", "default") else ""
    return f"{count(pool.domains, pool.domain)}{inside}{each}"


def pool_text(pool: PoolLayout) -> str:
    """A pool in one line."""
    heals = "its copies come back by themselves" if pool.heals else "it stays degraded until that is back"
    return (
        f"pool {pool.name} ({pool.service}, {pool.application}): {_protection(pool)}, writes with {pool.min_size} or more; "
        f"spread over {_spread(pool)}; after the loss of a {pool.domain} {heals}; rule {pool.rule}, "
        f"class {pool.device_class or 'any'}, {pool.pg_num} PGs, share {pool.share:g}"
    )


def pool_details(ceph: CephLayout, pool: PoolLayout) -> Iterator[DiffLine]:
    """Why the pool is as it is, what it holds, and how fast it is."""
    capacity, throughput = _of(ceph.capacity, pool), _of(ceph.throughput, pool)
    if pool.why:
        yield why(f"why: {pool.why}")
    if pool.namespaces:
        yield why(f"namespaces: {', '.join(pool.namespaces)}; each with a key of its own for it alone")
    if isinstance(capacity, Capacity):
        yield why(f"capacity: {capacity_text(capacity)}")
    if isinstance(throughput, Throughput):
        yield why(f"throughput: {throughput_text(throughput)}")


def _of(found: Iterable[Capacity | Throughput], pool: PoolLayout) -> Capacity | Throughput | None:
    return next((entry for entry in found if entry.pool == pool.name), None)


def capacity_text(capacity: Capacity) -> str:
    """Usable now, at nearfull, and so that a loss can heal."""
    loss = f"the loss of a {capacity.level} can heal"
    healable = (
        f"{show_bytes(capacity.healable)} so that {loss}" if capacity.healable is not None else f"never so that {loss}"
    )
    hours = f" (in no less than {capacity.recovery_hours:.2g} h)" if capacity.recovery_hours is not None else ""
    usable, nearfull = show_bytes(capacity.usable), show_bytes(capacity.nearfull)
    return f"{usable} of {show_bytes(capacity.raw)} raw, {nearfull} at nearfull, {healable}{hours}"


def throughput_text(found: Throughput) -> str:
    """Expectation and bound, and where the bound comes from."""
    text = (
        f"writes about {show_rate(found.write_expected)} (never above {show_rate(found.write_bound)}), "
        f"reads about {show_rate(found.read_expected)} (never above {show_rate(found.read_bound)}); "
        f"limit: {found.limit}"
    )
    return f"{text}; recorded elsewhere: {found.recorded}" if found.recorded else text


def rule_of(ceph: CephLayout, pool: PoolLayout) -> RuleLayout | None:
    """The CRUSH rule of a pool."""
    return next((rule for rule in ceph.rules if rule.name == pool.rule), None)
