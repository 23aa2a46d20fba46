"""The two places where the agent lives, put together from its parts."""

from __future__ import annotations

import socket
import sys
import traceback
import urllib.parse
from pathlib import Path

from agent import clock
from agent.act.actions import ArbiterActions, ImageActions, InstalledActions
from agent.act.cephdaemons import Daemons
from agent.console import Console
from agent.patience import Patience, StopRequest
from agent.probe.arbiter import ArbiterProbe
from agent.probe.changes import Changes
from agent.probe.machine import Probe
from agent.probe.marker import running_permit
from agent.session import Session, read_site, run_image, run_installed
from agent.trust import AgentKey
from agent.wire import Environment

INTERNAL_ERROR_PAUSE = 10.0


def live_in_image(configuration: Path, console: Console, patience: Patience) -> int:
    """In RAM, from the agent image. Ends by `StopRequest` only."""
    site = read_site(configuration / "site.json", console, patience)
    probe = Probe(environment=Environment.IMAGE)
    probe.listen()
    console.header([*probe.facts(), ("address", own_address(site.enrol_url)), ("appliance", site.enrol_url)])
    session = Session(
        site=site,
        console=console,
        patience=patience,
        inspect=probe.take,
        actions=ImageActions(site=site, patience=patience),
        fresh=probe.fresh,
    )
    floor, key = clock.image_date(configuration / "image.json"), AgentKey.generate()
    while True:
        try:
            run_image(session, key, floor=floor, set_clock=clock.set_clock)
        except StopRequest:
            raise
        except Exception as error:  # a bug must not cost the machine its key, and with it a person's approval
            console.line(f"internal error, starting over: {type(error).__name__}: {error}")
            traceback.print_exc(file=sys.stderr)
            patience.sleep(INTERNAL_ERROR_PAUSE)


def live_installed(configuration: Path, console: Console, patience: Patience) -> int:
    """As a service. 2 when this system's identity is not usable."""
    site = read_site(configuration / "site.json", console, patience)
    probe = Probe(environment=Environment.INSTALLED)
    session = Session(
        site=site,
        console=console,
        patience=patience,
        inspect=probe.take,
        actions=InstalledActions(),
        permit=running_permit(probe.tree),
        fresh=Changes().fresh,
        keeps=True,
    )
    try:
        run_installed(session, configuration)
    except OSError as error:
        console.line(f"this system's identity is not usable; install the machine again: {error}")
        return 2


def live_as_arbiter(configuration: Path, console: Console, patience: Patience, daemons: Daemons | None = None) -> int:
    """Beside the appliance, on the boot server; ``rackseed serve arbiter`` writes the files. 2 when they are not usable.
    ``daemons`` are systemd's unless given (a lab has none)."""
    site = read_site(configuration / "site.json", console, patience)
    actions = ArbiterActions(daemons=daemons) if daemons is not None else ArbiterActions()
    session = Session(site=site, console=console, patience=patience, inspect=ArbiterProbe().take, actions=actions)
    try:
        run_installed(session, configuration)
    except OSError as error:
        console.line(f"the files in {configuration} are not usable: {error}")
        return 2


def own_address(url: str) -> str:
    """The address from which we would reach the appliance; empty without a route. Nothing is sent."""
    parts = urllib.parse.urlsplit(url)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((parts.hostname or "", parts.port or 443))
            return str(probe.getsockname()[0])
    except OSError:
        return ""
