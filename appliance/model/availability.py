"""What a site can lose without its services stopping. The tiers are those of the architecture draft."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Tier(StrEnum):
    """I: a single path. II: redundant components (a disk, a node). III: two paths for power and network (maintenance of
    any one part without a stop). IV: fault tolerant (any one failure, also of a whole failure domain above the rack)."""

    I = "I"  # noqa: E741 - the tier's name
    II = "II"
    III = "III"
    IV = "IV"


TIERS = tuple(Tier)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """One thing that keeps the site (or a service) from ``tier``; ``text`` says what would close it."""

    tier: Tier
    about: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAvailability:
    """What one service survives. ``service`` is a pool's, a cluster's or a control service's name; ``survives`` the
    largest level (``disk``, ``host``, ``rack``, ``row``, ``datacenter``, ``zone``) of which one may be lost with the
    service going on, or empty; of networks it is ``port`` or ``switch``, of power ``feed``. ``heals``: whether redundancy
    comes back without hands."""

    service: str
    survives: str
    heals: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """``wanted`` is the site file's tier (None: not said), ``reached`` what this layout gives, ``gaps`` what is missing
    for the next tier and, when that is lower than wanted, for every tier up to it."""

    wanted: Tier | None = None
    reached: Tier
    services: tuple[ServiceAvailability, ...] = ()
    gaps: tuple[Gap, ...] = ()
