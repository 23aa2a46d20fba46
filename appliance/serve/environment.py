"""Settings that come as environment variables, from a unit's EnvironmentFile or a shell; the rest are options of click."""

from __future__ import annotations

import os
from collections.abc import Mapping
from ipaddress import IPv4Address
from pathlib import Path

CACHE = "RACKSEED_CACHE"
ADDRESS = "RACKSEED_ADDRESS"
INTERFACES = "RACKSEED_INTERFACES"
KERNEL_ARGUMENTS = "RACKSEED_KERNEL_ARGUMENTS"


class SettingsError(Exception):
    """The settings of this process are incomplete or wrong. The message says which and how to set them."""


def default_cache() -> Path:
    """``RACKSEED_CACHE``, systemd's cache folder, or ``~/.cache/rackseed``."""
    for name in (CACHE, "CACHE_DIRECTORY"):
        if value := os.environ.get(name, ""):
            return Path(value)
    return Path.home() / ".cache" / "rackseed"


def interfaces(environment: Mapping[str, str]) -> tuple[str, ...]:
    """``RACKSEED_INTERFACES``: names with commas or blanks between them."""
    return tuple(environment.get(INTERFACES, "").replace(",", " ").split())


def kernel_arguments(environment: Mapping[str, str]) -> tuple[str, ...]:
    """More arguments for the agent's kernel (a lab's ``no_timer_check``), from ``RACKSEED_KERNEL_ARGUMENTS``."""
    return tuple(environment.get(KERNEL_ARGUMENTS, "").split())


def read_address(text: str) -> IPv4Address:
    """Our address. Raises `SettingsError` when it is absent or none."""
    if not text:
        raise SettingsError(
            "the address where machines reach this appliance is not known: "
            f"give --address, set {ADDRESS}, or name a site file with --site"
        )
    try:
        return IPv4Address(text)
    except ValueError as error:
        raise SettingsError(f"{text!r} is not an IPv4 address, such as 10.20.0.1 (--address or {ADDRESS})") from error
