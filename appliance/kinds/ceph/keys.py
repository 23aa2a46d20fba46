"""Who has a key, and what it may do with it. The appliance makes the keys; here are only their names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from agent.cephorder import SecretFile
from appliance.kinds.ceph.names import block_pools, data_pool, filesystems, realms, secret, tenant, user
from appliance.model.ceph import CephHost, CephLayout, PoolLayout

Caps = tuple[tuple[str, str], ...]

MON: Caps = (("mon", "allow *"),)
ADMIN: Caps = (("mon", "allow *"), ("osd", "allow *"), ("mds", "allow *"), ("mgr", "allow *"))
BOOTSTRAP: Caps = (("mon", "allow profile bootstrap-osd"),)
MGR: Caps = (("mon", "allow profile mgr"), ("osd", "allow *"), ("mds", "allow *"))
MDS: Caps = (("mon", "allow profile mds"), ("mgr", "allow profile mds"), ("mds", "allow *"), ("osd", "allow *"))
RGW: Caps = (("mon", "allow rw"), ("osd", "allow rwx"), ("mgr", "allow rw"))

ADMIN_ENTITY, BOOTSTRAP_ENTITY, MON_ENTITY = "client.admin", "client.bootstrap-osd", "mon."
ADMIN_PATH = "/etc/ceph/ceph.client.admin.keyring"
BOOTSTRAP_PATH = "/var/lib/ceph/bootstrap-osd/ceph.keyring"
DAEMONS: Mapping[str, tuple[str, Caps, str]] = {
    "mgr": ("mgr.{}", MGR, "/var/lib/ceph/mgr/ceph-{}/keyring"),
    "mds": ("mds.{}", MDS, "/var/lib/ceph/mds/ceph-{}/keyring"),
    "rgw": ("client.rgw.{}", RGW, "/var/lib/ceph/radosgw/ceph-rgw.{}/keyring"),
}


class KeyKind(StrEnum):
    """``cephx``: as ``ceph-authtool --gen-print-key`` makes them. ``s3``: 40 letters and digits."""

    CEPHX = "cephx"
    S3 = "s3"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """A secret that has to be there before the steps run. ``name`` is what orders call it, ``entity`` whose it is."""

    name: str
    entity: str
    kind: KeyKind = KeyKind.CEPHX
    caps: Caps = ()


def keys(layout: CephLayout, hosts: Mapping[str, CephHost]) -> tuple[KeySpec, ...]:
    """Every secret that forming the layout needs, by name. Machines that are not in ``hosts`` have none yet."""
    found: dict[str, Caps] = {MON_ENTITY: MON, ADMIN_ENTITY: ADMIN, BOOTSTRAP_ENTITY: BOOTSTRAP}
    for service in layout.services:
        if service.kind in DAEMONS and service.machine in hosts:
            entity, caps = of_daemon(service.kind, hosts[service.machine].name)
            found[entity] = caps
    found |= users(layout)
    for pool in layout.pools:
        found |= tenants(layout.name, pool, data_pool(layout.pools, pool.name))
    specs = [KeySpec(name=secret(layout.fsid, entity), entity=entity, caps=caps) for entity, caps in found.items()]
    specs += [
        KeySpec(name=secret(layout.fsid, f"s3.{realm}"), entity=f"s3.{realm}", kind=KeyKind.S3)
        for realm in realms(layout.pools)
    ]
    return tuple(sorted(specs, key=lambda spec: spec.name))


def users(layout: CephLayout) -> dict[str, Caps]:
    """Keys for those who use Ceph, each for one pool or file system only."""
    found: dict[str, Caps] = {}
    for name, data in block_pools(layout.pools).items():
        found[user(layout.name, name)] = block_caps(name, data)
    for name in filesystems(layout.pools):
        found[user(layout.name, name)] = file_caps(name)
    return found


def tenants(cluster: str, pool: PoolLayout, data: str) -> dict[str, Caps]:
    """A key for each namespace of a pool, for it only; ``data`` is the coded pool that has its images' data, or empty."""
    return {tenant(cluster, pool.name, name): tenant_caps(pool.name, name, data) for name in pool.namespaces}


def tenant_caps(pool: str, namespace: str, data: str = "") -> Caps:
    """As `block_caps`, inside one namespace: outside of it not even the names of images can be read."""
    allowed = ", ".join(f"profile rbd pool={name} namespace={namespace}" for name in (pool, data) if name)
    return (("mon", "profile rbd"), ("mgr", f"profile rbd pool={pool} namespace={namespace}"), ("osd", allowed))


def block_caps(pool: str, data: str = "") -> Caps:
    """Images of one pool (whose data may be in a coded one), as Ceph's manual gives them to virtual machines."""
    allowed = ", ".join(f"profile rbd pool={name}" for name in (pool, data) if name)
    return (("mon", "profile rbd"), ("mgr", f"profile rbd pool={pool}"), ("osd", allowed))


def file_caps(filesystem: str) -> Caps:
    """What ``ceph fs authorize`` gives for reading and writing a whole file system."""
    return (
        ("mds", f"allow rw fsname={filesystem}"),
        ("mon", f"allow r fsname={filesystem}"),
        ("osd", f"allow rw tag cephfs data={filesystem}"),
    )


def of_daemon(kind: str, name: str) -> tuple[str, Caps]:
    """Entity and caps of a daemon."""
    entity, caps, _ = DAEMONS[kind]
    return entity.format(name), caps


def daemon_keyring(fsid: str, kind: str, name: str) -> SecretFile:
    """The keyring that a daemon finds in its own folder."""
    entity, caps, path = DAEMONS[kind]
    whose = entity.format(name)
    return SecretFile(path=path.format(name), entity=whose, secret=secret(fsid, whose), caps=caps)


def admin_keyring(fsid: str) -> SecretFile:
    """Only where a monitor is: who is root there has its store anyway."""
    return SecretFile(path=ADMIN_PATH, entity=ADMIN_ENTITY, secret=secret(fsid, ADMIN_ENTITY), caps=ADMIN, owner="root")


def monitor_key(fsid: str) -> SecretFile:
    """Needed while a monitor is made; afterwards it is in the monitor's own folder."""
    return SecretFile(path="", entity=MON_ENTITY, secret=secret(fsid, MON_ENTITY), caps=MON)


def bootstrap_keyring(fsid: str) -> SecretFile:
    """With it ceph-volume makes new OSDs known."""
    return SecretFile(
        path=BOOTSTRAP_PATH, entity=BOOTSTRAP_ENTITY, secret=secret(fsid, BOOTSTRAP_ENTITY), caps=BOOTSTRAP
    )


def digest(caps: Caps) -> str:
    """What is noted about a key that was made known: other caps, another note."""
    return hashlib.sha256(repr(caps).encode()).hexdigest()[:16]
