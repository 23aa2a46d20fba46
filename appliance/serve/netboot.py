"""The process of the boot servers: waits for a site file, serves its network, and follows when the file changes."""

from __future__ import annotations

import logging
import os
import signal
import threading

from appliance.model.settings import Settings
from appliance.model.site import ProvisioningNetwork
from appliance.operations import sites
from appliance.operations.context import Appliance
from appliance.operations.errors import OperationError
from appliance.operations.netboot import NetbootDirectory
from appliance.serve import lifeline
from appliance.serve.prepare import PrepareError, open_appliance
from appliance.store.database import StoreError
from pxe import serve
from pxe.errors import PxeError
from pxe.ports import DirectoryError
from pxe.serve import Mode

LOOK_SECONDS = 3.0

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Until SIGTERM. Raises `PrepareError` when the interfaces or ports can't be had, or another DHCP server answers."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: ended.set())
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.set())
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    appliance = open_appliance(settings)
    if not settings.interfaces:
        raise PrepareError("no interface is named: give --interface, or interfaces in the site file")
    lifeline.notify("READY=1")
    try:
        while (network := _wait_for_site(appliance, ended)) is not None:
            if not _serve(appliance, network, ended):
                return
    finally:
        appliance.close()


def _serve(appliance: Appliance, network: ProvisioningNetwork, ended: threading.Event) -> bool:
    """Serve one mode; True when the site file asks for another one now, False when it is over."""
    changed, stop = threading.Event(), threading.Event()
    follower = threading.Thread(
        target=_follow, args=(appliance, network, stop, changed), name="netboot-site", daemon=True
    )
    follower.start()
    directory = NetbootDirectory(appliance)
    try:
        serve.run(directory, appliance.settings.interfaces, Mode(network.mode), stop=stop)
    except (PxeError, DirectoryError) as error:
        raise PrepareError(str(error)) from error
    finally:
        directory.close()
        if not changed.is_set():
            ended.set()
        stop.set()
        follower.join()
    return changed.is_set()


def _follow(appliance: Appliance, served: ProvisioningNetwork, stop: threading.Event, changed: threading.Event) -> None:
    """Look at the site file now and then: another mode starts the servers anew, other pools are read again (SIGHUP)."""
    while not stop.wait(LOOK_SECONDS):
        network = _network(appliance)
        if network is None or network == served:
            continue
        if network.mode != served.mode:
            log.info("step=netboot why=the site file asks for mode %s now", network.mode)
            changed.set()
            stop.set()
        else:
            log.info("step=netboot why=the site file's network changed")
            served = network
            os.kill(os.getpid(), signal.SIGHUP)


def _wait_for_site(appliance: Appliance, ended: threading.Event) -> ProvisioningNetwork | None:
    """The network to serve; None when we were told to end before there was one."""
    said = False
    while not ended.is_set():
        network = _network(appliance)
        if network is not None:
            return network
        if not said:
            log.warning("step=netboot why=no site file is loaded yet, so nothing is answered: rackseed site load FILE")
            said = True
        ended.wait(LOOK_SECONDS)
    return None


def _network(appliance: Appliance) -> ProvisioningNetwork | None:
    try:
        site = sites.current_site(appliance)
    except (OperationError, StoreError) as error:
        log.error("step=netboot why=%s", error)
        return None
    return site.provisioning if site else None
