"""Steps of Ceph in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.model.ceph import CephArgs, CephVerb
from hwprofiles.normal import serial_key

SOME = 8
"""So many namespaces are named in a line."""

_STEPS: Mapping[CephVerb, str] = {
    CephVerb.CONFIGURE: "configuration and keyrings for its {daemons}",
    CephVerb.MON: "monitor mon.{daemon}",
    CephVerb.MGR: "manager mgr.{daemon}",
    CephVerb.MDS: "metadata server mds.{daemon}",
    CephVerb.RGW: "object gateway rgw.{daemon}",
    CephVerb.TREE: "buckets and rules of the CRUSH tree, and users' keys",
    CephVerb.OSD: "osd.{daemon} on disk {disk}",
    CephVerb.STRETCH: "stretch mode",
    CephVerb.POOL: "pool {pool}",
    CephVerb.NAMESPACES: "namespaces of pool {pool}, with keys",
    CephVerb.FILESYSTEM: "file system {service}",
    CephVerb.SETTLE: "wait until everything is clean",
    CephVerb.VERIFY: "write, read and compare: {daemon}{keys}",
    CephVerb.PROVE: "prove every pool's rule on the live map",
    CephVerb.OUT: "drain osd.{daemon}",
    CephVerb.DESTROY: "destroy osd.{daemon}; its number and place stay",
    CephVerb.PURGE: "remove osd.{daemon} with its number and place{strange}",
    CephVerb.ZAP: "free the slots of osd.{daemon} on {shared}",
    CephVerb.LEAVE: "take away {kind} {daemon}",
    CephVerb.LOCATE: "lamp of disk {old} {lamp}",
}


def step_text(args: CephArgs) -> str:
    """What a step of Ceph does, in a few words."""
    layout = args.osd or args.old
    disk = serial_key(layout.data.serial) or layout.data.wwn if layout else ""
    pool = args.pool.name if args.pool else ""
    text = _STEPS.get(args.verb, args.verb.value)
    shared = [disk for disk in (args.old.db, args.old.wal) if disk is not None] if args.old else []
    more = {
        "shared": ", ".join(serial_key(disk.serial) or disk.wwn for disk in shared),
        "kind": args.service or ", ".join(args.daemons),
        "old": (serial_key(args.old.data.serial) or args.old.data.wwn) if args.old else "",
        "lamp": "off" if args.osd else "on, where its slot has one",
        "keys": f" in {some(args.keys)}, with their own keys" if args.keys else "",
        "strange": "; no plan has it" if args.old is None else "",
    }
    return text.format(
        **more, daemons=", ".join(args.daemons), daemon=args.daemon, disk=disk, pool=pool, service=args.service
    )


def some(names: Sequence[str]) -> str:
    """A few names of many."""
    more = f" and {len(names) - SOME} more" if len(names) > SOME else ""
    return ", ".join(names[:SOME]) + more
