"""The roles of a process, and what each of them runs."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial

from appliance.model.settings import Settings
from appliance.serve import journal, lifeline
from appliance.serve.prepare import PrepareError
from appliance.serve.supervisor import Child, Supervisor

ROLES = ("worker", "http", "https", "agents", "netboot", "arbiter")
"""In the order in which they start: machines are answered last, then the boot server itself is one."""

HTTP_THREADS = 32
PEOPLE_THREADS = 64  # up to 40 of them hold event streams
AGENT_THREADS = 16

log = logging.getLogger(__name__)


def run(role: str, settings: Settings) -> None:
    """Run one role, or all of them under the supervisor, until SIGTERM."""
    if role == "all":
        run_all(settings)
    else:
        RUNNERS[role](settings)


def run_all(settings: Settings) -> None:
    """The supervisor; netboot runs only when an interface is named, arbiter only as root."""
    left_out = {role for role, fits in (("netboot", settings.interfaces), ("arbiter", os.geteuid() == 0)) if not fits}
    roles = tuple(role for role in ROLES if role not in left_out)
    _import_all()
    children = tuple(Child(role=role, run=partial(_run_child, role, settings)) for role in roles)
    _say(settings, roles)
    lifeline.notify("READY=1")
    os.environ.pop("NOTIFY_SOCKET", None)
    Supervisor(children=children).run()


def _run_child(role: str, settings: Settings) -> None:
    """A role in a process of its own; what it can't do is one line of the log, not a traceback."""
    journal.name_lines(role)
    try:
        RUNNERS[role](settings)
    except PrepareError as error:
        log.error("process=%s why=%s", role, error)
        sys.exit(1)


def _import_all() -> None:
    """Before the forks: each child would import the same for itself. What is there now is not looked at again by the
    garbage collector, so that its memory stays shared."""
    for module in ("agents", "arbiter", "listener", "netboot", "people", "public", "worker"):
        importlib.import_module(f"appliance.serve.{module}")
    gc.freeze()


def _say(settings: Settings, roles: tuple[str, ...]) -> None:
    """Where to look, for the person who started it."""
    lines = [
        f"rackseed serves {', '.join(roles)}",
        f"  pages    {settings.enrol_url} (sign in with {settings.state / 'admin-token'})",
        f"  machines {settings.public_url}, {settings.agent_url}",
        f"  command  rackseed machine list --state {settings.state}",
    ]
    if "netboot" not in roles:
        lines.append("  no interface is named (--interface, or interfaces in the site file): DHCP and TFTP stay off")
    print("\n".join(lines), file=sys.stderr, flush=True)


def serve_http(settings: Settings) -> None:
    """Public artefacts and boot scripts over plain HTTP."""
    from appliance.serve import public  # noqa: PLC0415 - each process imports only its own part
    from appliance.serve.listener import Listener, run  # noqa: PLC0415
    from appliance.serve.prepare import open_appliance  # noqa: PLC0415

    run(
        Listener(
            name="http",
            bind=(f"{settings.address}:{settings.http_port}",),
            make=lambda: public.make_app(open_appliance(settings)),
            threads=HTTP_THREADS,
        )
    )


def serve_https(settings: Settings) -> None:
    """Enrolment, people's API and pages over TLS, and over the Unix socket for the command line."""
    from appliance.serve import people  # noqa: PLC0415
    from appliance.serve.listener import Listener, Tls, run  # noqa: PLC0415
    from appliance.serve.prepare import open_appliance  # noqa: PLC0415

    appliance = open_appliance(settings)
    authority = appliance.authority
    appliance.close()
    settings.socket.parent.mkdir(mode=0o700, exist_ok=True)
    run(
        Listener(
            name="https",
            bind=(*_https_addresses(settings), f"unix:{settings.socket}"),
            make=lambda: people.make_app(open_appliance(settings)),
            threads=PEOPLE_THREADS,
            tls=Tls(certificate=authority.server_certificate_path, key=authority.server_key_path),
        )
    )


def serve_agents(settings: Settings) -> None:
    """The API of approved machines over mutual TLS."""
    from appliance.serve import agents  # noqa: PLC0415
    from appliance.serve.listener import Listener, Tls, run  # noqa: PLC0415
    from appliance.serve.prepare import open_appliance  # noqa: PLC0415

    appliance = open_appliance(settings)
    authority = appliance.authority
    appliance.close()
    run(
        Listener(
            name="agents",
            bind=(f"{settings.address}:{settings.agent_port}",),
            make=lambda: agents.make_app(open_appliance(settings)),
            threads=AGENT_THREADS,
            tls=Tls(
                certificate=authority.server_certificate_path,
                key=authority.server_key_path,
                client_ca=authority.ca_path,
            ),
        )
    )


def serve_netboot(settings: Settings) -> None:
    """DHCP, boot server and TFTP on the named interfaces."""
    from appliance.serve import netboot  # noqa: PLC0415

    netboot.run(settings)


def serve_worker(settings: Settings) -> None:
    """Durable steps and deadlines."""
    from appliance.serve import worker  # noqa: PLC0415

    worker.run(settings)


def serve_arbiter(settings: Settings) -> None:
    """The agent of the boot server itself, while a monitor is planned there."""
    from appliance.serve import arbiter  # noqa: PLC0415

    arbiter.run(settings)


def _https_addresses(settings: Settings) -> tuple[str, ...]:
    """The provisioning address, and loopback for a browser or a tunnel on the appliance itself."""
    addresses = dict.fromkeys((str(settings.address), "127.0.0.1"))
    return tuple(f"{address}:{settings.https_port}" for address in addresses)


RUNNERS: Mapping[str, Callable[[Settings], None]] = {
    "arbiter": serve_arbiter,
    "http": serve_http,
    "https": serve_https,
    "agents": serve_agents,
    "netboot": serve_netboot,
    "worker": serve_worker,
}
