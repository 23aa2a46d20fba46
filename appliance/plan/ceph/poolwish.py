"""What one pool of the site file asks for, with its defaults, and whether that can be asked for at all."""

from __future__ import annotations

from collections.abc import Mapping

from appliance.model.ceph import DeviceClass, PoolLayout, PoolSpec, Service, Spread
from appliance.model.place import Level
from appliance.plan.ceph.poolparts import RGW_ROOT, Part, parts
from appliance.plan.crush.spread import Copies
from appliance.plan.order import natural

COPIES = 3
STRETCH = Copies(size=4, min_size=2)
"""Two copies in each of two sites: Ceph's stretch mode allows nothing else."""
FLASH = (DeviceClass.NVME.value, DeviceClass.SSD.value)
_FASTEST = (*FLASH, DeviceClass.HDD.value)
_CHEAPEST = tuple(reversed(_FASTEST))
_FEW_COPIES = "{size} copies can't lose one and go on safely: the next error would lose data. Take 3, or leave size out"


def contradiction(spec: PoolSpec, stretch: bool) -> str:
    """Why this pool can't be made whatever the hardware, or empty."""
    if spec.erasure is not None:
        return _coded_contradiction(spec, stretch)
    if stretch and (spec.size not in {0, STRETCH.size} or spec.min_size not in {0, STRETCH.min_size}):
        return f"stretch mode has {STRETCH.size} copies, min_size {STRETCH.min_size}: leave size and min_size out"
    if spec.size in {1, 2}:
        return _FEW_COPIES.format(size=spec.size)
    if spec.min_size == 1:
        return "with min_size 1 the last copy takes writes that nobody else has: take 2 or more, or leave min_size out"
    size = spec.size or COPIES
    if not stretch and spec.min_size >= size:
        return f"min_size {spec.min_size} of {size} copies stops with the first loss: take {size - 1}, or leave it out"
    return ""


def _coded_contradiction(spec: PoolSpec, stretch: bool) -> str:
    code = spec.erasure
    if code is None or stretch:
        return "stretch mode knows no erasure coding: leave erasure out" if stretch else ""
    if spec.size:
        return "size counts copies, and this pool has an erasure code: leave one of the two out"
    if code.k and code.m < 2:
        return f"{code.k}+{code.m} stops with the first loss, its min_size is k + 1 = {code.k + 1}: take m of 2 or more"
    if code.k and spec.min_size and not code.k <= spec.min_size < code.k + code.m:
        return f"min_size {spec.min_size} of {code.k}+{code.m}: take {code.k + 1} (k + 1), or leave it out"
    if spec.min_size and not code.k:
        return "min_size without k and m: leave it out, it will be k + 1"
    return ""


def headers(spec: PoolSpec, base: str) -> str:
    """The pool of a block service that holds images' headers, and so its namespaces; empty for other services."""
    if spec.service is not Service.BLOCK:
        return ""
    return next((part.name for part in parts(spec, base) if not part.coded), "")


def zoning(spec: PoolSpec) -> Spread:
    """Inside a zone or across zones. Who wants zones as failure domains wants copies across them."""
    if spec.spread is not None:
        return spec.spread
    if spec.domain is Level.ZONE:
        return Spread.ZONES
    return Spread.ZONE if spec.service is Service.BLOCK else Spread.ZONES


def copies(spec: PoolSpec, part: Part, zones: int) -> Copies | None:
    """How many copies or chunks of a part; None where the number of failure domains decides.

    Over exactly two zones an even number of copies goes on with half of them: nobody chose a higher min_size."""
    if part.coded and spec.erasure is not None:
        k, m = spec.erasure.k, spec.erasure.m
        return Copies(size=k + m, min_size=spec.min_size or k + 1, erasure=spec.erasure) if k else None
    if spec.erasure is not None:
        return Copies(size=COPIES, min_size=COPIES - 1)
    size = spec.size or COPIES
    halves = zones == 2 and size >= 4 and size % 2 == 0 and zoning(spec) is Spread.ZONES
    return Copies(size=size, min_size=spec.min_size or (size // 2 if halves else size - 1))


def moved(spec: PoolSpec, part: Part, old: PoolLayout) -> bool:
    """Whether the site file names a value that the standing pool does not have and can get. The realm's pool serves all
    object services and follows none of them."""
    if part.name == RGW_ROOT:
        return False
    asked: list[tuple[object, object]] = [(spec.domain, old.domain)]
    if part.bulk:
        asked.append((spec.device_class, old.device_class))
    if part.coded or spec.erasure is None:
        asked.append((spec.min_size, old.min_size))
    if spec.erasure is None:
        asked.append((spec.size, old.size))
    return any(wanted and wanted != has for wanted, has in asked)


def recoded(spec: PoolSpec, part: Part, old: PoolLayout) -> bool:
    """Whether another erasure code is asked for than the standing pool has: no pool can change it."""
    if not part.coded or spec.erasure is None:
        return old.erasure is not None
    return old.erasure is None or (spec.erasure.k > 0 and spec.erasure != old.erasure)


def classes(spec: PoolSpec, weights: Mapping[str, int], bulk: str) -> tuple[str, ...]:
    """Device classes that a part may use, the best first. ``weights`` are bytes of each class below the pool's root,
    ``bulk`` is the class of the service's bulk pool when that is decided.

    Block takes the fastest class, file and object data the cheapest, everything small goes to flash."""
    if bulk:
        return tuple(dict.fromkeys((*(name for name in FLASH if name in weights), bulk)))
    if spec.device_class:
        return (spec.device_class,) if spec.device_class in weights else ()
    order = _FASTEST if spec.service is Service.BLOCK else _CHEAPEST
    known = [name for name in order if name in weights]
    return (*known, *sorted((name for name in weights if name not in order), key=natural))
