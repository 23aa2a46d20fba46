"""Orders as the agent carries them out, made of what a step says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agent.cephorder import CephAction, CephOrder, ConfigFile, DeviceGrant, MonCommand, OsdOrder
from appliance.kinds.ceph import conf
from appliance.kinds.ceph.keys import admin_keyring
from appliance.kinds.ceph.names import osd_uuid
from appliance.model.ceph import CephArgs, CephHost, DiskRef, OsdLayout
from appliance.model.cephstate import CephState


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Tell ``machine`` (an id) ``order``."""

    machine: str
    order: CephOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing to tell now; ``text`` says what is waited for, and what to do when it does not come. ``room``: it is room on
    OSDs, which comes when somebody adds disks or deletes data; the step's own time does not run meanwhile."""

    text: str
    room: bool = False


def answering(args: CephArgs, state: CephState | None) -> tuple[CephHost, ...]:
    """Planned monitors that are in the quorum, in the order of the plan."""
    quorum = set(state.quorum) if state else set()
    return tuple(host for host in args.monitors if host.name in quorum)


def asker(args: CephArgs, state: CephState | None) -> CephHost | None:
    """The machine that asks the monitors: one with a monitor that is in the quorum."""
    return next(iter(answering(args, state)), None)


def ask(
    args: CephArgs, state: CephState | None, commands: Iterable[MonCommand], rules: Iterable[str] = ()
) -> Act | Wait:
    """Commands to the monitors through one of their machines."""
    host = asker(args, state)
    if host is None:
        names = ", ".join(one.name for one in args.monitors)
        return Wait(text=f"no monitor of {names} answers: see that these machines run and reach each other")
    order = CephOrder(
        action=CephAction.ASK,
        fsid=args.fsid,
        monitors=addresses(args, state),
        secrets=(admin_keyring(args.fsid),),
        commands=tuple(commands),
        rules=tuple(rules),
    )
    return Act(machine=host.machine, order=order)


def addresses(args: CephArgs, state: CephState | None) -> tuple[str, ...]:
    return tuple(host.address for host in answering(args, state))


def configuration(args: CephArgs) -> ConfigFile:
    return ConfigFile(path=conf.PATH, content=conf.text(args))


def grant(machine: str, disk: DiskRef, uuid: str, *, shared: bool) -> DeviceGrant:
    """The plan is added when the order is given: a step is part of its plan and can't know the plan's hash."""
    return DeviceGrant(
        machine=machine,
        plan="",
        serial=disk.serial,
        wwn=disk.wwn,
        model=disk.model,
        size=disk.size,
        fingerprint=disk.fingerprint,
        osd_uuid=uuid,
        shared=shared,
    )


def slot_grants(fsid: str, old: OsdLayout) -> tuple[DeviceGrant, ...]:
    """To free what a destroyed OSD has on devices that it shared; nothing else of them."""
    uuid = osd_uuid(fsid, old)
    return tuple(grant(old.machine, disk, uuid, shared=True) for disk in (old.db, old.wal) if disk is not None)


def folder_grants(fsid: str, old: OsdLayout) -> tuple[DeviceGrant, ...]:
    """To remove the folder of a destroyed OSD: names the OSD. As shared, it would allow to free this OSD's slots at most."""
    return (grant(old.machine, old.data, osd_uuid(fsid, old), shared=True),)


def osd_order(fsid: str, osd: OsdLayout) -> OsdOrder:
    """DB and WAL devices carry other OSDs' slots, and so does a data disk of which this OSD takes half or less."""
    uuid = osd_uuid(fsid, osd)
    several = osd.part > 0 or 0 < 2 * osd.data_size <= osd.data.size
    return OsdOrder(
        number=osd.number,
        uuid=uuid,
        device_class=osd.device_class,
        data=grant(osd.machine, osd.data, uuid, shared=several),
        data_size=osd.data_size if several else 0,
        db=grant(osd.machine, osd.db, uuid, shared=True) if osd.db else None,
        db_size=osd.db_size,
        wal=grant(osd.machine, osd.wal, uuid, shared=True) if osd.wal else None,
        wal_size=osd.wal_size,
        encrypted=osd.encrypted,
    )
