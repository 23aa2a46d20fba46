"""OSDs and the disks that they take: what must never be."""

from __future__ import annotations

from collections import Counter

from agent.wire import Content
from appliance.plan.disks.content import describe, is_ours
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import DiskId, Scene, disk_name
from hwprofiles.values import show_size

SMALLEST = 5 << 30
"""Bytes of the smallest disk that may become an OSD or a DB device (ceph-volume's limit, `ceph.md` §4)."""
_FOREIGN_BUS = frozenset({"usb", "mmc", "sd"})


@rule(ERROR, "report it as a fault of the planner; plan again")
def disk_in_two_osds(scene: Scene) -> Findings:
    """A disk holds the data of one OSD; several share it only as numbered parts of one group and class."""
    for who, osds in scene.data.items():
        parts = Counter(osd.part for osd in osds)
        kinds = {(osd.group, osd.device_class) for osd in osds}
        if max(parts.values()) > 1 or sorted(parts) != list(range(len(parts))) or len(kinds) > 1:
            names = listed(f"osd.{osd.number} (part {osd.part})" for osd in osds)
            yield (
                disk_name(osds[0].data),
                f"{scene.name(who[0])}: holds the data of {counted(len(osds), 'OSD')}: {names}",
            )


@rule(ERROR, "report it as a fault of the planner; plan again")
def disk_data_and_db(scene: Scene) -> Findings:
    """A disk is OSD data or a DB (WAL) device, never both."""
    for who, slots in scene.slots.items():
        if who in scene.data:
            names = listed(f"osd.{osd.number}" for osd in scene.data[who])
            text = f"{scene.name(who[0])}: {counted(len(slots), 'DB or WAL slot')} and data of {names}"
            yield disk_name(scene.data[who][0].data), text


@rule(ERROR, "protect the system disk, or name it in the profile")
def system_disk_in_ceph(scene: Scene) -> Findings:
    """A system disk, whether it is going to be written or carries our system already, is no OSD and no DB device."""
    installed = {scene.identity(step.machine, step.install.disk) for step in scene.installs if step.install}
    written = installed | (scene.erasures - scene.formed.keys())
    starting = {step.machine for step in scene.installs}
    for who, (reference, role) in scene.roles.items():
        if who in written:
            yield disk_name(reference), f"becomes {role} of {scene.name(who[0])}, where the plan installs the system"
    for who, reference, role, disk in scene.taken:
        machine = scene.machines[who[0]]
        if who[0] not in starting and disk.content.partitions and is_ours(machine, disk):
            yield disk_name(reference), f"becomes {role} of {scene.name(who[0])}, which is installed on it"


@rule(ERROR, "take the serial out of protect, or leave the disk out of the drive group")
def osd_on_protected_disk(scene: Scene) -> Findings:
    """A disk that the site file protects does not become an OSD or DB device; one that is in this cluster already stays."""
    for who, (reference, role) in scene.roles.items():
        if who[1] in scene.protected and not any(scene.of_ceph(disk) for disk in scene.inventoried.get(who, ())):
            yield disk_name(reference), f"becomes {role} of {scene.name(who[0])}, but the site file protects it"


@rule(ERROR, "grant the erasure by serial (erase), or remove the disk")
def osd_foreign_data(scene: Scene) -> Findings:
    """A disk with data that is neither ours nor this cluster's becomes an OSD or DB device only with a grant for its
    serial (`ceph.md` §4)."""
    for who, reference, role, disk in scene.taken:
        if disk.content.blank or scene.of_ceph(disk) or who[1] in scene.granted or scene.kept(who):
            continue
        if not is_ours(scene.machines[who[0]], disk):
            text = f"becomes {role} of {scene.name(who[0])} without a grant; it carries {describe(disk.content)}"
            yield disk_name(reference), text


@rule(ERROR, "plan again: the disk was taken out, or can't be told from another")
def osd_disk_missing(scene: Scene) -> Findings:
    """The disk of an OSD is in its machine's inventory exactly once, by serial, WWN and size together."""
    for who, (reference, role) in scene.roles.items():
        count = len(scene.inventoried.get(who, ()))
        name = scene.name(who[0])
        if count != 1 and not scene.kept(who):
            yield (
                disk_name(reference),
                f"is to be {role} of {name}, which reports {count or 'no'} such {'disks' if count else 'disk'}",
            )
        elif not who[1] and not who[2]:
            yield disk_name(reference), f"is to be {role} of {name}, but has neither serial nor WWN: it can't be named"


@rule(WARNING, "put the disk back, or replace it; an agent that could not read its disks says why")
def osd_disk_unseen(scene: Scene) -> Findings:
    """The disk of an OSD that stands is reported: an OSD whose disk nobody sees is not changed, and not replaced either."""
    unseen: dict[str, list[str]] = {}
    for who, (reference, _) in scene.roles.items():
        if scene.inventory(who[0]) and len(scene.inventoried.get(who, ())) != 1 and scene.kept(who):
            unseen.setdefault(who[0], []).append(disk_name(reference))
    for machine, names in unseen.items():
        yield (
            scene.name(machine),
            f"{counted(len(names), 'disk')} of its OSDs can't be found in its report: {listed(names)}",
        )


@rule(ERROR, "leave the disk out of the drive group")
def osd_disk_unfit(scene: Scene) -> Findings:
    """No OSD on what is removable, on USB or a card, read-only, or smaller than 5 GiB (`ceph.md` §4)."""
    for who, reference, role, disk in scene.taken:
        faults = ["removable"] if disk.removable else []
        faults += [f"on {disk.transport}"] if disk.transport in _FOREIGN_BUS else []
        faults += ["read-only"] if disk.read_only else []
        faults += [f"only {show_size(disk.size)}"] if disk.size < SMALLEST else []
        if faults:
            yield disk_name(reference), f"becomes {role} of {scene.name(who[0])}, but is {' and '.join(faults)}"


@rule(WARNING, "look what was written to the disk; the agent refuses it as it is")
def osd_content_changed(scene: Scene) -> Findings:
    """A disk carries what it carried when its role was planned: the fingerprint of its content is the same. The agent
    looks again, and refuses to write what it was not told."""
    known: dict[Content, str] = {}
    for who, reference, role, disk in scene.taken:
        if disk.content not in known:
            known[disk.content] = disk.content.fingerprint()
        if reference.fingerprint != known[disk.content] and not scene.of_ceph(disk):
            yield (
                disk_name(reference),
                f"{role} of {scene.name(who[0])}: its content is not what the plan was made with",
            )


@rule(ERROR, "report it as a fault of the planner; plan again")
def osd_without_size(scene: Scene) -> Findings:
    """Every OSD says how much of its disk it takes, and how much of the DB device if it has one: pveceph's own defaults
    (10 % DB) waste it (`proxmox.md` §3)."""
    for osd in scene.osds:
        name, where = f"osd.{osd.number}", scene.name(osd.machine)
        if osd.data_size <= 0:
            yield name, f"{where}: takes {osd.data_size} bytes of its disk"
        for what, device, size, slot in (
            ("DB", osd.db, osd.db_size, osd.slot),
            ("WAL", osd.wal, osd.wal_size, osd.wal_slot),
        ):
            if device is not None and size <= 0:
                yield name, f"{where}: its {what} on {disk_name(device)} has no size"
            if device is None and (size or slot):
                yield name, f"{where}: {show_size(size)} in slot {slot} of no {what} device"


@rule(ERROR, "report it as a fault of the planner; plan again")
def osd_without_class(scene: Scene) -> Findings:
    """Every OSD has a device class: what Ceph guesses is wrong behind RAID controllers and loop devices (`ceph.md` §4)."""
    lost = [osd for osd in scene.osds if not osd.device_class]
    if lost:
        names = listed(f"osd.{osd.number}" for osd in lost)
        yield "osds", f"{counted(len(lost), 'OSD')} without a device class: {names}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def osds_exceed_disk(scene: Scene) -> Findings:
    """The OSDs of a disk take no more than it has."""
    for who, osds in scene.data.items():
        total = sum(osd.data_size for osd in osds)
        if total > who[3]:
            shown = f"{counted(len(osds), 'OSD')} on a disk of {show_size(who[3])}"
            yield disk_name(osds[0].data), f"{scene.name(who[0])}: {shown}: {total - who[3]} bytes more than it has"


@rule(ERROR, "lower db_size or db_slots in the drive group")
def db_slots_exceed_device(scene: Scene) -> Findings:
    """The slots of a DB or WAL device take no more than it has, and each is one OSD's."""
    for who, slots in scene.slots.items():
        device, where = disk_name(slots[0].device), scene.name(who[0])
        total = sum(slot.size for slot in slots)
        if total > who[3]:
            shown = f"{counted(len(slots), 'slot')} take {show_size(total)}"
            yield device, f"{where}: {shown} of a device of {show_size(who[3])}"
        for (role, number), count in Counter((slot.role, slot.number) for slot in slots).items():
            if count > 1 or number < 0:
                yield device, f"{where}: {role} slot {number} of this device is that of {counted(count, 'OSD')}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def osd_number_twice(scene: Scene) -> Findings:
    """Every OSD has a number of its own, from 0."""
    owners: dict[int, list[str]] = {}
    for osd in scene.osds:
        owners.setdefault(osd.number, []).append(scene.name(osd.machine))
    for number, names in owners.items():
        if number < 0 or len(names) > 1:
            yield (
                f"osd.{number}",
                f"{counted(len(names), 'OSD')} with this number, in {listed(names)}; it is 0 or more, once",
            )


@rule(ERROR, "report it as a fault of the planner; plan again")
def osd_not_in_member(scene: Scene) -> Findings:
    """OSDs are in members of Ceph, and members are machines of the layout, each once."""
    if scene.ceph is None:
        return
    for who, count in Counter(scene.ceph.members).items():
        if count > 1 or (who not in scene.nodes and who not in scene.machines):
            text = (
                f"is {count} times a Ceph member"
                if count > 1
                else "is a Ceph member, but the layout has no such machine"
            )
            yield scene.name(who), text
    for who in set(scene.by_host) - set(scene.ceph.members):
        yield scene.name(who), f"has {counted(len(scene.by_host[who]), 'OSD')}, but is no member of Ceph"


@rule(WARNING, "replace the OSDs one by one, or take the wish back")
def osd_encryption(scene: Scene) -> Findings:
    """What the site file wants encrypted is encrypted: a disk that leaves the house would carry readable data."""
    spec = scene.site.ceph
    groups = {group.name for group in spec.groups if group.encrypted} if spec else set()
    bare = [osd for osd in scene.osds if not osd.encrypted and spec and (spec.encrypted or osd.group in groups)]
    if bare:
        names = listed(f"osd.{osd.number}" for osd in bare)
        yield "osds", f"{counted(len(bare), 'OSD')} not encrypted, though the site file wants it: {names}"


@rule(ERROR, "use the disk by one path, or blacklist the others")
def disk_in_two_machines(scene: Scene) -> Findings:
    """A disk with one serial and WWN is given to one machine: else it is shared storage, and two OSDs would write it."""
    owners: dict[tuple[str, str], list[DiskId]] = {}
    for who in scene.roles:
        if who[1] and who[2]:
            owners.setdefault((who[1], who[2]), []).append(who)
    for (serial, wwn), found in owners.items():
        if len({who[0] for who in found}) > 1:
            names = listed(scene.name(who[0]) for who in found)
            yield serial, f"given to {len(found)} machines ({names}) with one serial and one WWN ({wwn})"
