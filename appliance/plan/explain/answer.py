"""`explain`: everything that a plan knows about one machine, disk, step, pool or cluster, and why it decided so.

What is asked for is looked up in this order; the first that fits is explained:

- a step's key (``install/m-abc``)
- a machine: its id, its name, its serial, or the MAC of one of its ports
- ``MACHINE/SERIAL``: a disk of a machine, where several disks have that serial
- a disk: its serial or its WWN
- an OSD (``osd.12``): the disk that it lives on; one that this plan drains: how long that takes
- a pool, a cluster, or ``backbone``
- the beginning of a serial or WWN, four letters or more, when only one disk has it
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from appliance.model.observed import Observed
from appliance.model.plan import Desired, Plan, Step
from appliance.model.site import Site
from appliance.plan.diff.ceph import DiskKey, disk_key
from appliance.plan.diff.drain import drained_by
from appliance.plan.diff.lines import DiffLine
from appliance.plan.explain.known import Known
from appliance.plan.explain.machine import machine_lines
from appliance.plan.explain.parts import backbone_lines, disk_lines, explain_cluster, pool_lines, step_lines
from appliance.plan.order import natural
from hwprofiles.normal import serial_key
from hwprofiles.profile import Profile

SHORTEST = 4
"""Letters of a serial or WWN that are enough, when they are unique."""
COMPARED = 20_000
"""So many words are compared with one that is not known; more would take seconds."""
SHOWN = 5


class ExplainError(Exception):
    """Nothing, or more than one thing, is called so; the message names what comes near."""


def explain(
    plan: Plan,
    observed: Observed,
    site: Site,
    what: str,
    profiles: Iterable[Profile] = (),
    *,
    before: Desired | None = None,
) -> tuple[DiffLine, ...]:
    """Lines about ``what``. ``profiles`` add why one matched, and which nearly did; ``before`` is the layout of the parent.
    Raises `ExplainError`."""
    known = Known(plan=plan, observed=observed, site=site, profiles=tuple(profiles), before=before)
    wanted = what.strip()
    found = _find(known, wanted)
    if found is None:
        raise ExplainError(_unknown(known, wanted))
    return tuple(found)


def _find(known: Known, what: str) -> Iterable[DiffLine] | None:
    step = next((step for step in known.plan.steps if step.key == what), None)
    if step is not None:
        return step_lines(known, step)
    machine = _machine(known, what)
    if machine:
        return machine_lines(known, machine)
    head, _, tail = what.partition("/")
    if tail and (owner := _machine(known, head)):
        return disk_lines(known, _one(known, what, _disks(known, tail, owner) or _beginning(known, tail, owner)))
    disks = _disks(known, what)
    if disks:
        return disk_lines(known, _one(known, what, disks))
    part = _part(known, what)
    if part is not None:
        return part
    disks = _beginning(known, what)
    return disk_lines(known, _one(known, what, disks)) if disks else None


def _machine(known: Known, what: str) -> str:
    """The id of the one machine that is called so, or empty."""
    if what in known.machines or what in known.names:
        return what
    folded, serial, mac = what.casefold(), serial_key(what), what.lower()
    named = sorted(who for who, name in known.names.items() if name.casefold() == folded)
    if not named and serial:
        named = sorted(who for who in known.machines if serial in known.serials(who))
    if not named and mac.count(":") == 5:
        named = sorted(
            who for who, m in known.machines.items() if m.inventory and any(nic.mac == mac for nic in m.inventory.nics)
        )
    if len(named) > 1:
        raise ExplainError(f"{what} are several machines: {', '.join(named)}; ask for one of these ids")
    return named[0] if named else ""


def _disks(known: Known, what: str, owner: str = "") -> list[DiskKey]:
    serial, wwn = serial_key(what), what.lower()
    return [
        key
        for key in known.disks
        if (not owner or key[0] == owner) and ((serial and key[1] == serial) or (wwn and key[2] == wwn))
    ]


def _beginning(known: Known, what: str, owner: str = "") -> list[DiskKey]:
    if len(what) < SHORTEST:
        return []
    serial, wwn = what.upper(), what.lower()
    return [
        key
        for key in known.disks
        if (not owner or key[0] == owner) and (key[1].upper().startswith(serial) or key[2].startswith(wwn))
    ]


def _one(known: Known, what: str, found: list[DiskKey]) -> DiskKey:
    if not found:
        raise ExplainError(_unknown(known, what))
    if len(found) > 1:
        raise ExplainError(f"{what} are {len(found)} disks: {_some(_show(known, key) for key in found)}; ask for one")
    return found[0]


def _show(known: Known, key: DiskKey) -> str:
    return f"{known.names.get(key[0], key[0])}/{key[1] or key[2]}"


def _part(known: Known, what: str) -> Iterator[DiffLine] | None:
    desired, ceph = known.plan.desired, known.plan.desired.ceph
    leaves = next((step for step in known.plan.steps if what and _about(step) == what), None)
    if leaves is not None:
        return step_lines(known, leaves)
    if ceph is not None and what.startswith("osd."):
        osd = next((osd for osd in ceph.osds if f"osd.{osd.number}" == what), None)
        key = disk_key(osd.machine, osd.data.serial, osd.data.wwn) if osd else ("", "", "")
        return disk_lines(known, key) if key in known.disks else None
    pool = next((pool for pool in ceph.pools if pool.name == what), None) if ceph else None
    if ceph is not None and pool is not None:
        return pool_lines(known, ceph, pool)
    cluster = next((cluster for cluster in desired.clusters if what in (cluster.name, cluster.spec)), None)
    if cluster is not None:
        return explain_cluster(known, cluster)
    return backbone_lines(known) if what == "backbone" and desired.backbone is not None else None


def _about(step: Step) -> str:
    """The OSD that a step drains, by its name."""
    osd = drained_by(step)
    return f"osd.{osd.number}" if osd is not None else ""


def _unknown(known: Known, what: str) -> str:
    if not what:
        return "say what to explain: a machine, a disk's serial, a step, a pool or a cluster"
    folded = {word.casefold(): word for word in _words(known)}
    near = get_close_matches(what.casefold(), list(folded)[:COMPARED], n=SHOWN, cutoff=0.6)
    hint = f"; did you mean {_some(folded[word] for word in near)}?" if near else ""
    return f"this plan knows no machine, disk, step, pool or cluster '{what}'{hint}"


def _words(known: Known) -> Iterator[str]:
    """Everything that can be asked for, short lists first."""
    desired = known.plan.desired
    yield from (cluster.name for cluster in desired.clusters)
    yield from (pool.name for pool in desired.ceph.pools) if desired.ceph else ()
    yield from known.names.values()
    yield from (step.key for step in known.plan.steps)
    for who in known.machines:
        yield from known.serials(who)
    for key in known.disks:
        yield from (word for word in key[1:] if word)


def _some(words: Iterable[str]) -> str:
    ordered = sorted(set(words), key=natural)
    more = f" and {len(ordered) - SHOWN} more" if len(ordered) > SHOWN else ""
    return f"{', '.join(ordered[:SHOWN])}{more}"
