"""``/etc/ceph/ceph.conf`` of one machine. What it does not say is Ceph's own default of Debian's version."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from appliance.kinds.ceph.names import GATEWAY_PORT, ROOT
from appliance.model.ceph import CephArgs, CephHost

PATH = "/etc/ceph/ceph.conf"


def text(args: CephArgs) -> str:
    """Of the machine ``args.host`` with the daemons ``args.daemons``."""
    return "\n".join([*_lines(args), ""])


def _lines(args: CephArgs) -> Iterator[str]:
    yield "# Written by rackseed from the site file; changes here are lost when it forms the cluster again."
    yield "[global]"
    for name, value in _everywhere(args):
        yield f"{name} = {value}"
    host = args.host
    if host is None:
        return
    if "osd" in args.daemons:
        yield from ("", "[osd]", f"crush_location = {' '.join(location(host))}")
        yield "# the plan sets the device class: loop devices and RAID volumes lie about what they are"
        yield "osd_class_update_on_start = false"
        if args.memory_target:
            yield f"osd_memory_target = {args.memory_target}"
    if "rgw" in args.daemons and args.realm:
        yield from ("", f"[client.rgw.{host.name}]")
        yield f"rgw_frontends = beast endpoint={bracketed(host.address)}:{GATEWAY_PORT}"
        for what in ("realm", "zonegroup", "zone"):
            yield f"rgw_{what} = {args.realm}"


def _everywhere(args: CephArgs) -> Iterator[tuple[str, object]]:
    yield "fsid", args.fsid
    yield "mon_host", mon_host(args.monitors)
    yield "mon_initial_members", ",".join(one.name for one in args.monitors[:1])
    if args.public_network:
        yield "public_network", args.public_network
    if args.cluster_network and args.cluster_network != args.public_network:
        yield "cluster_network", args.cluster_network
    if any(":" in one.address for one in args.monitors):
        yield from (("ms_bind_ipv4", "false"), ("ms_bind_ipv6", "true"))
    for what in ("cluster", "service", "client"):
        yield f"auth_{what}_required", "cephx"
    yield "auth_allow_insecure_global_id_reclaim", "false"
    yield "mon_osd_down_out_subtree_limit", "rack"
    yield "osd_pool_default_size", 3
    yield "osd_pool_default_min_size", 2
    yield "mgr_initial_modules", "iostat"


def mon_host(monitors: Iterable[CephHost]) -> str:
    """Both protocols of every planned monitor: v2, and v1 for old clients in kernels."""
    return ",".join(f"[v2:{bracketed(one.address)}:3300,v1:{bracketed(one.address)}:6789]" for one in monitors)


def location(host: CephHost) -> tuple[str, ...]:
    """The whole path of a host in the tree, as an OSD tells it when it starts."""
    return (f"root={ROOT}", *(f"{level}={name}" for level, name in host.location), f"host={host.name}")


def bracketed(address: str) -> str:
    """An address beside a port number."""
    return f"[{address}]" if ":" in address else address
