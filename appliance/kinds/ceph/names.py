"""Names that are computed, the same after every retry: of OSDs, file systems, realms, users, profiles."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable

from appliance.model.ceph import CephLayout, DiskRef, OsdLayout, PoolLayout, Service

ROOT = "default"
MANAGER_POOL = ".mgr"
LEAVING = "leaving/"
"""Notes about OSDs that began to leave: ``leaving/osd.3`` and what they are."""
GATEWAY_PORT = 7480
"""Where RGW listens when nobody tells it."""
_METADATA, _DATA, _CODED = "_metadata", "_data", "_data_ec"
_BUCKETS = ".rgw.buckets.data"


def osd_uuid(fsid: str, osd: OsdLayout) -> str:
    """The OSD's own uuid, by which the live one is found: of the cluster, the machine, the data disk, and the part of it."""
    return str(uuid.uuid5(uuid.UUID(fsid), f"{osd.machine}/{disk_word(osd.data)}/{osd.part}"))


def disk_word(disk: DiskRef) -> str:
    """What tells a disk from all others: the WWN where it has one, for serials repeat (NVMe namespaces, multipath)."""
    return disk.wwn or disk.serial


def filesystems(pools: Iterable[PoolLayout]) -> dict[str, tuple[str, str, str]]:
    """File systems by name: their metadata pool, their first data pool, and a coded one for bulk data or nothing."""
    names = {pool.name for pool in pools if pool.service is Service.FILE}
    bases = sorted(name.removesuffix(_METADATA) for name in names if name.endswith(_METADATA))
    return {
        base: (base + _METADATA, base + _DATA, base + _CODED if base + _CODED in names else "")
        for base in bases
        if base + _DATA in names
    }


def realms(pools: Iterable[PoolLayout]) -> tuple[str, ...]:
    """Object services; each is a zone of this name, whose pools RGW finds by it."""
    return tuple(sorted(pool.name.removesuffix(_BUCKETS) for pool in pools if pool.name.endswith(_BUCKETS)))


def block_pools(pools: Iterable[PoolLayout]) -> dict[str, str]:
    """Pools for RBD images, with the coded pool that holds their data or nothing."""
    rbd = {pool.name: pool for pool in pools if pool.service is Service.BLOCK}
    found = {}
    for name, pool in sorted(rbd.items()):
        if pool.erasure is None:
            data = f"{name.removesuffix('-metadata')}-data"
            found[name] = data if name.endswith("-metadata") and data in rbd else ""
    return found


def profile(pool: PoolLayout) -> str:
    """The erasure code profile of a pool; one for each, because Ceph lets nobody change one that is in use."""
    return f"{pool.name}-profile"


def user(cluster: str, what: str) -> str:
    """The entity of those who use a pool or a file system."""
    return f"client.{cluster}-{what}"


def tenant(cluster: str, pool: str, namespace: str) -> str:
    """The entity of those who use one namespace of a pool. A namespace has no dot in its name (`appliance.site`)."""
    return user(cluster, f"{pool}.{namespace}")


def data_pool(pools: Iterable[PoolLayout], name: str) -> str:
    """The coded pool that holds the data of a block pool's images, or empty."""
    return block_pools(pools).get(name, "")


def access_key(fsid: str, realm: str) -> str:
    """The access key of the first S3 user of a realm: 20 characters, as S3 has them, and no secret."""
    return hashlib.sha256(f"{fsid}/{realm}".encode()).hexdigest()[:20].upper()


def secret(fsid: str, entity: str) -> str:
    """What the appliance calls the key of ``entity``."""
    return f"ceph/{fsid}/{entity}"


def monitor_machines(layout: CephLayout) -> tuple[str, ...]:
    return tuple(service.machine for service in layout.services if service.kind == "mon")
