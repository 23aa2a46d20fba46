"""Whether a machine has the memory and the processor threads for its OSDs (`ceph.md` §4).

Beside virtual machines OSDs get at most 20 % of the memory, on a storage server 70 % (cephadm's autotune ratios), and
never less than 4 GiB each: with less the plan refuses. Threads are advice: one per OSD, four per NVMe OSD.
"""

from __future__ import annotations

from collections.abc import Sequence

from appliance.model.ceph import DeviceClass, OsdBudget

GIB = 1 << 30
FLOOR = 4 * GIB
"""``osd_memory_target`` is never below this; Ceph's own default."""
ENOUGH = 8 * GIB
"""Beside virtual machines an OSD gets no more: what is left is theirs."""
PERCENT_HYPERCONVERGED = 20
PERCENT_DEDICATED = 70
THREADS = 1
THREADS_NVME = 4


def budget(machine: str, memory: int, threads: int, classes: Sequence[str], *, hyperconverged: bool) -> OsdBudget:
    """``memory`` in bytes, ``threads`` 0 when unknown, ``classes`` the device class of each OSD. ``memory_needed`` is how
    much memory a machine needs for that many OSDs."""
    count = len(classes)
    percent = PERCENT_HYPERCONVERGED if hyperconverged else PERCENT_DEDICATED
    share = memory * percent // 100
    each = share // max(count, 1) >> 20 << 20
    fits = each >= FLOOR or not count
    target = (min(each, ENOUGH) if hyperconverged else each) if fits else FLOOR
    needed = count * FLOOR * 100 // percent
    threads_needed = sum(THREADS_NVME if word == DeviceClass.NVME else THREADS for word in classes)
    have = f"{percent} % of {_gib(memory)} are {_gib(share)}"
    verb = "s" if count == 1 else ""
    lacks = f"need{verb} {_gib(count * FLOOR)} of memory ({_gib(FLOOR)} each), but {have}; {_way_out(needed, share)}"
    text = f"{_osds(count)} {f'get{verb} {_gib(target)} of memory each ({have})' if fits else lacks}"
    return OsdBudget(
        machine=machine,
        osds=count,
        memory=memory,
        memory_target=target,
        memory_needed=needed,
        threads=threads,
        threads_needed=threads_needed,
        hyperconverged=hyperconverged,
        fits=fits,
        text=text + _threads_text(count, threads, threads_needed),
    )


def _way_out(needed: int, share: int) -> str:
    most = share // FLOOR
    fewer = f", or at most {_osds(most)} here (limit in a drive group)" if most else ""
    return f"{_gib(needed)} in the machine would do{fewer}"


def _osds(count: int) -> str:
    return f"{count} OSD{'' if count == 1 else 's'}"


def _threads_text(count: int, threads: int, needed: int) -> str:
    if not threads or threads >= needed:
        return ""
    return f"; {threads} threads are few for {_osds(count)}, {needed} are advised"


def _gib(count: int) -> str:
    return f"{count / GIB:.4g} GiB"
