"""`rackseed serve`: everything under one supervisor, or one process of it."""

from __future__ import annotations

import os
from pathlib import Path

import click

from appliance.cli.errors import CommandError, UserError
from appliance.cli.options import state_option

ROLES = ("http", "https", "agents", "netboot", "worker", "arbiter")
PORT = click.IntRange(1, 65535)


@click.command()
@click.argument("role", type=click.Choice(["all", *ROLES]), default="all")
@state_option
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RACKSEED_CACHE",
    help="Built images.  [default: ~/.cache/rackseed]",
)
@click.option("--address", envvar="RACKSEED_ADDRESS", default="", help="Our address on the provisioning network.")
@click.option("--interface", "interfaces", multiple=True, help="Answer DHCP on this interface only (may be repeated).")
@click.option(
    "--site",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    envvar="RACKSEED_SITE",
    help="Site file to load.",
)
@click.option("--http-port", type=PORT, envvar="RACKSEED_HTTP_PORT", default=8080, show_default=True)
@click.option("--https-port", type=PORT, envvar="RACKSEED_HTTPS_PORT", default=8443, show_default=True)
@click.option("--agent-port", type=PORT, envvar="RACKSEED_AGENT_PORT", default=8444, show_default=True)
@click.option(
    "--database", envvar="RACKSEED_DATABASE", default="", help="SQLAlchemy URL instead of SQLite in the state folder."
)
@click.option(
    "--people",
    type=click.Choice(["everywhere", "local"]),
    envvar="RACKSEED_PEOPLE",
    default="local",
    show_default=True,
    help="Pages and API also on the provisioning address, or only on loopback and the socket.",
)
def serve(
    *,
    role: str,
    state: Path,
    cache: Path | None,
    address: str,
    interfaces: tuple[str, ...],
    site: Path | None,
    http_port: int,
    https_port: int,
    agent_port: int,
    database: str,
    people: str,
) -> None:
    """Run the appliance (ROLE all), or one of its processes: http (public files), https (people and enrolment), agents
    (mutual TLS), netboot (DHCP, TFTP), worker (steps and deadlines), arbiter (a monitor of Ceph on the appliance itself;
    needs root)."""
    from appliance.model.settings import Settings  # noqa: PLC0415 - start-up time
    from appliance.serve import environment, journal, prepare  # noqa: PLC0415 - start-up time
    from appliance.serve.processes import run  # noqa: PLC0415 - start-up time
    from appliance.site.load import SiteError  # noqa: PLC0415 - start-up time

    journal.start(role)
    try:
        settings = Settings(
            state=state.absolute(),
            cache=cache.absolute() if cache else environment.default_cache(),
            address=environment.read_address(address or (str(prepare.address_of(site)) if site else "")),
            interfaces=interfaces or environment.interfaces(os.environ),
            http_port=http_port,
            https_port=https_port,
            agent_port=agent_port,
            database=database,
            people_local=people == "local",
            kernel_arguments=environment.kernel_arguments(os.environ),
        )
        # The arbiter asks the others over the socket: as root it must not make files in a state that is not root's.
        run(role, settings if role == "arbiter" else prepare.prepare(settings, site))
    except (environment.SettingsError, SiteError) as error:
        raise UserError(str(error)) from error
    except prepare.PrepareError as error:
        raise CommandError(str(error)) from error
