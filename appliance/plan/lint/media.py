"""What kind of devices OSDs are on, and what their machines can carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from statistics import median

from agent.wire import Disk, Inventory
from appliance.model.ceph import DeviceClass, OsdLayout
from appliance.model.plan import WaitReason
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene, disk_name
from hwprofiles.normal import text_key
from hwprofiles.values import show_size

GIB = 1 << 30
LEAST = 2 * GIB
"""osd_memory_target below which Ceph's documentation does not recommend to go."""
BUDGET = 8 * GIB * 12 // 10
"""What one OSD takes with its peaks: 8 GiB and 20 % (`ceph.md` §4)."""
SHARED, OWN = 0.2, 0.7
"""Part of the memory that all OSDs of a machine may be promised: hyperconverged, and as dedicated storage."""
CONSUMER = (
    *("*samsung ssd 8[4-7]0 *", "*samsung ssd 9[5-9]0 *", "*samsung portable*"),
    *("ct*mx[1-5]00ssd*", "ct*bx[1-5]00ssd*", "ct*p[1-5]*ssd8", "ct*p[1-5]*ssd9"),
    *("kingston sa400s37*", "kingston snv[1-3]s*", "kingston skc*", "wd blue*", "wd green*", "*wds[0-9]*"),
    *("sandisk sdssd*", "intel ssdpeknw*", "adata su[6-9]*", "sabrent*", "kxg[5-8]*"),
)
"""Flash for desktops, by model: no power-loss protection, so every sync waits for the cells. Not complete: what is not
listed is not known to be good."""
SPINNING = (
    "hgst huh7*",
    "hgst hus7*",
    "hus7*",
    "wuh7*",
    "st[0-9]*nm*",
    "toshiba mg[0-9]*",
    "mg[0-9]*aca*",
    "wdc wd*efrx*",
    "wdc wd*fyyz*",
)
FLASH = ("*mtfd*", "*ssd*", "samsung mz*", "kioxia kcd*", "kioxia kpm*", "wus[45]*", "*nvme*")
"""Models whose names say what they are, whatever the controller claims."""
RAID = ("perc*", "*logical volume*", "mr9[0-9]*", "*megaraid*", "*virtual drive*")
"""What RAID controllers call the volumes that they make."""


def _fits(patterns: Iterable[str]) -> Callable[[str], bool]:
    """A test for models that looks at every model once."""
    known: dict[str, bool] = {}

    def test(model: str) -> bool:
        if model not in known:
            known[model] = any(fnmatchcase(text_key(model), pattern) for pattern in patterns)
        return known[model]

    return test


def _by_model(scene: Scene, wrong: Callable[[Disk], bool]) -> dict[str, list[str]]:
    """Machines by the model of disks of Ceph that are wrong."""
    found: dict[str, list[str]] = {}
    for who, _, _, disk in scene.taken:
        if wrong(disk):
            found.setdefault(disk.model.strip(), []).append(scene.name(who[0]))
    return found


@rule(WARNING, "use flash with power-loss protection, at least for DB devices")
def consumer_flash(scene: Scene) -> Findings:
    """No OSD or DB on flash for desktops: without power-loss protection every sync takes milliseconds (`ceph.md` §4). By
    a list of models, so that silence proves nothing."""
    fits = _fits(CONSUMER)
    for model, names in _by_model(scene, lambda disk: not disk.rotational and fits(disk.model)).items():
        where = f"{counted(len(names), 'disk')} in {listed(names)}"
        yield model, f"{where}: flash for desktops, without power-loss protection; measure with fio --fsync=1"


@rule(WARNING, "switch the controller to HBA (IT) mode")
def raid_volume(scene: Scene) -> Findings:
    """OSDs see the disks themselves, not volumes of a RAID controller: those hide failures, lie about rotation, and lose
    writes with the cache."""
    fits = _fits(RAID)
    for model, names in _by_model(scene, lambda disk: fits(disk.model)).items():
        yield model, f"{counted(len(names), 'volume')} of a RAID controller in {listed(names)}; use its HBA mode"


@rule(WARNING, "set the device class in a drive group, or the controller to HBA mode")
def rotation_contradicts(scene: Scene) -> Findings:
    """A disk spins or not as its model and transport say: controllers lie, and the class follows the lie."""
    spins, flash = _fits(SPINNING), _fits(FLASH)

    def wrong(disk: Disk) -> bool:
        if disk.rotational:
            return disk.transport == "nvme" or flash(disk.model)
        return spins(disk.model)

    for model, names in _by_model(scene, wrong).items():
        where = f"{counted(len(names), 'disk')} in {listed(names)}"
        yield model or "disks", f"{where}: what they say about spinning can't be true of this model or transport"


def _kind(disk: Disk) -> DeviceClass:
    """What Ceph would call the disk."""
    if disk.rotational:
        return DeviceClass.HDD
    return DeviceClass.NVME if disk.transport == "nvme" else DeviceClass.SSD


@rule(WARNING, "take device_class out of the drive group, or correct it")
def class_unlike_disk(scene: Scene) -> Findings:
    """The device class is what the disk is, unless a drive group says otherwise."""
    spec = scene.site.ceph
    named = {group.name for group in spec.groups if group.device_class} if spec else set()
    found: dict[tuple[str, str], list[str]] = {}
    for osd in scene.osds:
        disk = scene.disk(osd.machine, osd.data)
        if disk is None or osd.group in named:
            continue
        kind = _kind(disk).value
        if osd.device_class and osd.device_class != kind:
            found.setdefault((osd.device_class, kind), []).append(f"osd.{osd.number}")
    for (said, kind), names in found.items():
        yield said, f"{counted(len(names), 'OSD')} of class {said} on what is {kind}: {listed(names)}"


@rule(WARNING, "replace the disk before the cluster is formed")
def unhealthy_osd_disk(scene: Scene) -> Findings:
    """No disk that says itself that it is failing becomes an OSD or DB device."""
    for who, reference, role, disk in scene.taken:
        if disk.smart is not None and disk.smart.healthy is False:
            text = f"SMART says that it is failing, but it becomes {role} of {scene.name(who[0])}; replace it first"
            yield disk_name(reference), text


@rule(WARNING, "unmount or stop what uses the disk, or boot the agent image")
def osd_disk_in_use(scene: Scene) -> Findings:
    """Nothing is mounted or assembled on a disk that becomes an OSD: the write will be refused while it is."""
    for who, reference, role, disk in scene.taken:
        if disk.content.in_use and not scene.of_ceph(disk):
            yield (
                disk_name(reference),
                f"is in use in {scene.name(who[0])}, and becomes {role}; writing will be refused",
            )


@rule(WARNING, "use fewer slots, or more DB devices")
def db_blast_radius(scene: Scene) -> Findings:
    """The loss of a DB or WAL device takes no more than half of its host's OSDs (`ceph.md` §4)."""
    found: dict[tuple[int, int], list[str]] = {}
    for who, slots in scene.slots.items():
        total, taken = len(scene.by_host[who[0]]), len({slot.osd.number for slot in slots})
        if taken * 2 > total:
            found.setdefault((taken, total), []).append(scene.name(who[0]))
    for (lost, total), names in found.items():
        where = f"{counted(len(names), 'device')} in {listed(names)}"
        yield "db", f"{where}: each takes {lost} of its host's {counted(total, 'OSD')} with it"


@rule(WARNING, "give db_size, or fewer slots for each DB device")
def db_small(scene: Scene) -> Findings:
    """A DB has 1 % of its data device or more (`ceph.md` §4): what does not fit spills to the slow disk."""
    small = [osd for osd in scene.osds if osd.db is not None and 0 < osd.db_size * 100 < osd.data_size]
    if small:
        worst = min(small, key=lambda osd: (osd.db_size / osd.data_size, osd.number))
        shown = f"{show_size(worst.db_size)} for {show_size(worst.data_size)} (osd.{worst.number})"
        yield "db", f"{counted(len(small), 'OSD')} with a DB below 1 % of the data, for example {shown}"


@rule(WARNING, "choose flash for DB devices")
def db_no_faster(scene: Scene) -> Findings:
    """A DB device does not spin: it is there to be faster than the data."""
    slow = [(scene.name(who[0]), disk) for who, _, role, disk in scene.taken if role != "osd" and disk.rotational]
    if slow:
        yield "db", f"spinning disks as DB devices: {len(slow)}, in {listed(name for name, _ in slow)}"


@rule(WARNING, "group disks by size, or give the odd ones a class of their own")
def mixed_sizes(scene: Scene) -> Findings:
    """OSDs of one class are about equally large: the largest get the most data and the most requests."""
    sizes: dict[str, list[int]] = {}
    for osd in scene.osds:
        sizes.setdefault(osd.device_class, []).append(osd.data_size)
    for kind, found in sizes.items():
        low, high = min(found), max(found)
        if low > 0 and high > low * 1.5:
            odd = sum(size > 1.5 * median(found) or size * 1.5 < median(found) for size in found)
            shown = f"from {show_size(low)} to {show_size(high)}; {odd} of {len(found)} far from the middle"
            yield kind or "osds", f"OSDs of class {kind or 'none'} {shown}"


@rule(WARNING, "add disks")
def few_osds(scene: Scene) -> Findings:
    """Ceph has 12 OSDs or more (Proxmox' recommendation, `ceph.md` §4): below, one lost disk is more than a twelfth."""
    count = len(scene.osds)
    if scene.ceph is not None and count < 12:
        yield scene.ceph.name, f"{counted(count, 'OSD')}; 12 or more are recommended"


def _memory(inventory: Inventory) -> int:
    return inventory.memory.installed or inventory.memory.total


@rule(ERROR, "add memory, or leave disks out (limit in the drive group)")
def osd_memory_short(scene: Scene) -> Findings:
    """A machine promises its OSDs no more memory than it can: 4 GiB for each are at most 20 % of a hyperconverged
    machine's, 70 % of a storage machine's; below 2 GiB an OSD does not work well (`ceph.md` §4)."""
    budgets = {budget.machine: budget for budget in scene.ceph.budgets} if scene.ceph else {}
    for who, osds in scene.by_host.items():
        budget, name, count = budgets.get(who), scene.name(who), counted(len(osds), "OSD")
        if budget is None or budget.osds != len(osds):
            yield name, f"has {count}, but memory is budgeted for {budget.osds if budget else 'none'}"
        elif scene.waits(WaitReason.TOO_LITTLE_MEMORY, name):
            continue
        elif not budget.fits:
            yield name, f"{count} planned although the budget refuses: {budget.text}"
        elif budget.memory_target < LEAST:
            yield (
                name,
                f"{budget.memory_target / GIB:.3g} GiB for each OSD; below {LEAST / GIB:g} it does not work well",
            )
        else:
            memory, allowed, kind = _share(scene, who)
            promised = len(osds) * budget.memory_target
            if memory and promised > allowed:
                text = f"{count} with {budget.memory_target / GIB:.3g} GiB each are {promised / GIB:.3g} GiB"
                yield (
                    name,
                    f"{text}; {allowed / GIB:.3g} of the {memory / GIB:.3g} GiB of a {kind} machine are for them",
                )


def _share(scene: Scene, who: str) -> tuple[int, float, str]:
    """A machine's memory, what of it its OSDs may be promised, and what kind of machine that is."""
    inventory = scene.inventory(who)
    memory = _memory(inventory) if inventory else 0
    hyperconverged = any(who in cluster.members for cluster in scene.plan.desired.clusters)
    return (memory, memory * SHARED, "hyperconverged") if hyperconverged else (memory, memory * OWN, "storage")


@rule(WARNING, "add memory, or take OSDs out one by one")
def osd_memory_short_standing(scene: Scene) -> Findings:
    """OSDs that stand have the memory that new ones must have; where the plan waits for memory, they don't."""
    short = [name for who in scene.by_host if scene.waits(WaitReason.TOO_LITTLE_MEMORY, name := scene.name(who))]
    if short:
        yield (
            "memory",
            f"{counted(len(short), 'machine')} with OSDs and too little memory for all that fit: {listed(short)}",
        )


@rule(WARNING, "add memory")
def osd_memory_tight(scene: Scene) -> Findings:
    """A machine has 8 GiB for each OSD and 20 % more for peaks, beside what else runs on it (`ceph.md` §4)."""
    tight: list[tuple[str, list[OsdLayout], int]] = []
    for who, osds in scene.by_host.items():
        inventory = scene.inventory(who)
        if inventory is not None and _memory(inventory) < len(osds) * BUDGET:
            tight.append((scene.name(who), osds, _memory(inventory)))
    if tight:
        name, osds, memory = max(tight, key=lambda item: (len(item[1]) * BUDGET - item[2], item[0]))
        shown = f"{name} has {memory / GIB:.0f} GiB for {len(osds)} OSDs that may take {len(osds) * BUDGET / GIB:.0f}"
        yield "memory", f"{counted(len(tight), 'machine')} with less than 9.6 GiB for each OSD; {shown}"


@rule(WARNING, "use fewer OSDs for each device, or machines with more cores")
def osd_threads_tight(scene: Scene) -> Findings:
    """A machine has a thread for every OSD, and 4 for one on NVMe (`ceph.md` §4)."""
    tight: Counter[str] = Counter()
    for who, osds in scene.by_host.items():
        inventory = scene.inventory(who)
        needed = sum(4 if osd.device_class == DeviceClass.NVME else 1 for osd in osds)
        if inventory is not None and 0 < inventory.cpu.threads < needed:
            tight[scene.name(who)] = needed - inventory.cpu.threads
    if tight:
        name, lacking = max(tight.items(), key=lambda item: (item[1], item[0]))
        shown = f"{name} lacks {lacking}"
        yield "cpu", f"{counted(len(tight), 'machine')} with fewer threads than its OSDs want: {listed(tight)}; {shown}"
