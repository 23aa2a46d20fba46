"""What happens once before the processes start: keys and database, the first admin token, the site file, the artefacts."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

from appliance.effects.authority import AuthorityError
from appliance.model.settings import Settings
from appliance.model.site import Site
from appliance.operations import sessions, sites
from appliance.operations.context import SYSTEM, Appliance
from appliance.operations.errors import OperationError
from appliance.serve import cached
from appliance.store.database import StoreError
from hwprofiles.document import DocumentError

log = logging.getLogger(__name__)

SOCKET_LENGTH = 107
"""Bytes of a Unix socket's path (unix(7): ``sun_path`` has 108, with the zero at its end)."""


class PrepareError(Exception):
    """The appliance can't start. The message says why, and what to do."""


def open_appliance(settings: Settings) -> Appliance:
    """Open the state for one process. Raises `PrepareError`."""
    try:
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Appliance.open(settings)
    except (StoreError, AuthorityError, DocumentError, OSError) as error:
        raise PrepareError(f"cannot open the state in {settings.state}: {error}") from error


def prepare(settings: Settings, site: Path | None) -> Settings:
    """Make the state ready and return the settings that the processes shall use: the site file's interfaces are taken
    where none were named. Prints nothing; logs what a person must know. Raises `PrepareError`."""
    if (length := len(os.fsencode(settings.socket))) > SOCKET_LENGTH:
        raise PrepareError(
            f"{settings.socket} can't be a socket: its path has {length} bytes, and no more than {SOCKET_LENGTH} are "
            f"possible: choose a --state whose path is at least {length - SOCKET_LENGTH} bytes shorter"
        )
    appliance = open_appliance(settings)
    try:
        settings.socket.parent.mkdir(mode=0o700, exist_ok=True)
        token = sessions.first_start_token(appliance)
        if token is not None:
            log.warning("step=serve why=first start; the admin token for the pages is in %s", token)
        loaded = sites.load_site(appliance, SYSTEM, site) if site is not None else sites.current_site(appliance)
        if loaded is None:
            log.warning("step=serve why=no site file is loaded yet; load one: rackseed site load FILE")
        for line in cached.register_all(appliance):
            log.warning("step=serve why=%s", line)
        return with_site(settings, loaded)
    except (OperationError, OSError) as error:
        raise PrepareError(str(error)) from error
    finally:
        appliance.close()


def with_site(settings: Settings, site: Site | None) -> Settings:
    """Settings completed from the site file. `PrepareError` when the two contradict each other."""
    if site is None:
        return settings
    if settings.address != site.provisioning.appliance:
        raise PrepareError(
            f"--address {settings.address} is not the appliance's address of the site file, "
            f"{site.provisioning.appliance}: machines would not find us"
        )
    return replace(settings, interfaces=settings.interfaces or site.provisioning.interfaces)


def address_of(site: Path) -> IPv4Address:
    """The appliance's address as the site file says it. Raises `SiteError`."""
    from appliance.site.load import load_site  # noqa: PLC0415 - only when no address was given

    return load_site(site).provisioning.appliance
