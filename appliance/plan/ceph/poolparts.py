"""Which pools a service consists of, by the names that its software looks for."""

from __future__ import annotations

from dataclasses import dataclass

from appliance.model.ceph import PoolSpec, Service

RGW_ROOT = ".rgw.root"
"""Holds the realm: one in a cluster, whatever the number of object services."""
SMALL = 8
"""PGs of pools with a few objects."""
INDEX = 16
"""PGs of pools that hold keys only, many of them (Ceph gives CephFS metadata at least 16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One pool of a service. The ``bulk`` one holds what users store and has the service's share of the space; the others
    have ``pgs`` PGs, three copies, and flash where there is any. ``coded``: erasure coding is for this one."""

    name: str
    application: str
    bulk: bool = False
    coded: bool = False
    pgs: int = SMALL


def parts(spec: PoolSpec, name: str) -> tuple[Part, ...]:
    """The pools of ``spec``, called ``name`` (in a zone of several: with the zone's name). The bulk one comes first."""
    if spec.service is Service.BLOCK:
        return _block(spec, name)
    return _file(spec, name) if spec.service is Service.FILE else _object(spec, name)


def _block(spec: PoolSpec, name: str) -> tuple[Part, ...]:
    """An RBD image's header is made of keys, which coded pools can't hold: Proxmox VE (pveceph) makes the same two."""
    if spec.erasure is None:
        return (Part(name=name, application="rbd", bulk=True),)
    return (
        Part(name=f"{name}-data", application="rbd", bulk=True, coded=True),
        Part(name=f"{name}-metadata", application="rbd", pgs=INDEX),
    )


def _file(spec: PoolSpec, name: str) -> tuple[Part, ...]:
    """The first data pool of a CephFS holds every file's backtrace and should be replicated; coded data is a second one."""
    metadata = Part(name=f"{name}_metadata", application="cephfs", pgs=INDEX)
    if spec.erasure is None:
        return (Part(name=f"{name}_data", application="cephfs", bulk=True), metadata)
    return (
        Part(name=f"{name}_data_ec", application="cephfs", bulk=True, coded=True),
        Part(name=f"{name}_data", application="cephfs", pgs=INDEX),
        metadata,
    )


def _object(spec: PoolSpec, name: str) -> tuple[Part, ...]:
    """The pools of an RGW zone called ``name``. Multipart uploads need keys, so a coded zone has ``non-ec`` beside it."""
    data = Part(name=f"{name}.rgw.buckets.data", application="rgw", bulk=True, coded=spec.erasure is not None)
    small = [Part(name=RGW_ROOT, application="rgw")]
    small += [Part(name=f"{name}.rgw.{word}", application="rgw") for word in ("control", "log", "meta")]
    small.append(Part(name=f"{name}.rgw.buckets.index", application="rgw", pgs=INDEX))
    if data.coded:
        small.append(Part(name=f"{name}.rgw.buckets.non-ec", application="rgw"))
    return (data, *small)
