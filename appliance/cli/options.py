"""Options that many commands share, and how results are printed."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from appliance.cli.client import Client

Command = TypeVar("Command", bound=Callable[..., Any])

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RACKSEED_STATE",
    default=Path("/var/lib/rackseed"),
    show_default=True,
    help="State folder of the appliance.",
)

format_option = click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print."
)


def connected(command: Command) -> Callable[..., Any]:
    """Adds the options that say where the appliance is; the command gets ``client`` and ``form``."""

    @state_option
    @click.option("--url", envvar="RACKSEED_URL", default="", help="Address of a remote appliance (https://…:8443).")
    @click.option("--token", envvar="RACKSEED_TOKEN", default="", help="Access token for --url.")
    @click.option("--ca", envvar="RACKSEED_CA", default="", help="CA to trust for --url (PEM file).")
    @format_option
    @functools.wraps(command)
    def wrapped(*arguments: Any, state: Path, url: str, token: str, ca: str, **options: Any) -> Any:
        from appliance.cli.client import Client, Place  # noqa: PLC0415 - requests costs 0.1 s of `--help`

        if url and not token:
            raise click.UsageError("--url needs --token (or RACKSEED_TOKEN)")
        if url and not url.startswith("https://"):
            raise click.UsageError(f"--url {url}: a token is only sent over https://")
        if ca and not Path(ca).is_file():
            raise click.UsageError(f"--ca {ca}: there is no such file")
        client = Client(Place(socket=state / "run" / "api.sock", url=url, token=token, ca=ca))
        return command(*arguments, client=client, **options)

    return wrapped


def print_json(document: Any) -> None:
    """One JSON document, readable, with stable order of keys."""
    click.echo(json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Columns as wide as their content, the last one cut to the terminal."""
    table = [tuple(name.upper() for name in columns), *(tuple(row) for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    room = shutil.get_terminal_size((160, 24)).columns
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        click.echo(line if len(line) <= room else line[: room - 1] + "…")


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other; empty values are left out."""
    shown = [(name, value) for name, value in fields if value]
    width = max((len(name) for name, _ in shown), default=0)
    for name, value in shown:
        click.echo(f"{name.ljust(width)}  {value}")


__all__ = ["Client", "connected", "format_option", "print_fields", "print_json", "print_table", "state_option"]
