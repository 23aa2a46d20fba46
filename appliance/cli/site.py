"""`rackseed site`: an example to begin with, a check without an appliance, and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import UserError
from appliance.cli.options import connected, format_option, print_json

if TYPE_CHECKING:
    from appliance.cli.client import Client
    from appliance.model.site import Site

file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def site() -> None:
    """Write, check and load the site file."""


@site.command("init")
@click.option("--name", default="edge-1", show_default=True, help="Name of the site.")
def init(name: str) -> None:
    """Print a site file to begin with: rackseed site init > site.yaml."""
    from appliance.site.example import example  # noqa: PLC0415 - start-up time

    click.echo(example(name), nl=False)


@site.command("check")
@file_argument
@format_option
def check(file: Path, form: str) -> None:
    """Find everything that is wrong with a site file, each with file:line:column. Needs no appliance."""
    from appliance.site.load import SiteError, load_site  # noqa: PLC0415 - start-up time

    try:
        found = load_site(file)
    except SiteError as error:
        if form == "json":
            print_json({"problems": [_problem(problem) for problem in error.problems]})
            raise UserError(f"{file}: {len(error.problems)} problems") from error
        raise UserError(f"{file} can't be used:\n{error}") from error
    if form == "json":
        print_json({"problems": [], "site": found.name, "machines": [machine.name for machine in found.machines]})
    else:
        click.echo(_summary(file, found))


@site.command("load")
@file_argument
@connected
def load(client: Client, form: str, file: Path) -> None:
    """Give a site file to the running appliance. Rules apply at once; nothing is installed without a plan."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text") from error
    loaded = client.post("/sites", {"text": text, "path": str(file.absolute())})
    if form == "json":
        print_json(loaded)
    else:
        click.echo(f"site {loaded['site']} is loaded; next: rackseed plan")


@site.command("show")
@connected
def show(client: Client, form: str) -> None:
    """The site file that the appliance works by."""
    loaded = client.get("/sites/current")
    if form == "json":
        print_json(loaded)
    else:
        click.echo(loaded["text"], nl=False)


def _summary(file: Path, found: Site) -> str:
    network = found.provisioning
    return (
        f"{file} is good: site {found.name}, {len(found.machines)} machines, "
        f"network {network.cidr} with the appliance at {network.appliance}"
    )


def _problem(problem: Any) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
