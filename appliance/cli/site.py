"""`rackseed site`: examples to begin with, what keys mean, a check without an appliance, and loading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import UserError
from appliance.cli.options import connected, format_option, print_json

if TYPE_CHECKING:
    from appliance.cli.client import Client
    from appliance.model.site import Site

SHOWN = 8
"""Names of a kind that a summary lists."""
file_argument = click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))


@click.group()
def site() -> None:
    """Write, check and load the site file."""


@site.command("init")
@click.option("--name", default="edge-1", show_default=True, help="Name of the site.")
@click.option(
    "--example",
    "which",
    type=click.Choice(["short", "three", "cloud", "edge"]),
    default="short",
    show_default=True,
    help="What is in it: three machines; with a cluster and Ceph; eight servers; a switchless edge with an arbiter.",
)
def init(name: str, which: str) -> None:
    """Print a site file to begin with: rackseed site init > site.yaml."""
    from appliance.site.example import example  # noqa: PLC0415 - start-up time
    from appliance.site.values import hostname  # noqa: PLC0415

    try:
        click.echo(example(hostname(name), which), nl=False)
    except ValueError as error:
        raise UserError(f"--name: {error}") from error


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
        print_json({"problems": [], **_facts(found)})
    else:
        click.echo(_summary(file, found))


@site.command("schema")
def schema() -> None:
    """Print the JSON Schema of site files, for editors: rackseed site schema > rackseed.schema.json."""
    from appliance.site.schema import schema as made  # noqa: PLC0415 - start-up time

    print_json(made())


@site.command("explain")
@click.argument("key", default="", metavar="[KEY.PATH]")
@format_option
def explain(key: str, form: str) -> None:
    """What a key means, what its value is and what holds without it, for example: rackseed site explain ceph.pools."""
    from appliance.site.reference import UnknownKey  # noqa: PLC0415 - start-up time

    try:
        told = _explained(key)
    except UnknownKey as error:
        raise UserError(str(error)) from error
    if form == "json":
        print_json(told)
    else:
        click.echo(_explanation(told))


@site.command("load")
@file_argument
@connected
def load(client: Client, form: str, file: Path) -> None:
    """Give a site file to the running appliance. Rules apply at once; nothing is installed without a plan."""
    loaded = client.post("/sites", {"text": _text(file), "path": str(file.absolute())})
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


def _text(file: Path) -> str:
    """The file as it is, or with the list of machines that it names inside; then it is checked here first, while places in
    the list can be named."""
    from appliance.site.load import SiteError, complete_text, load_site  # noqa: PLC0415 - start-up time

    try:
        text = file.read_text(encoding="utf-8")
        if "manifest" in text:
            load_site(file)
            text = complete_text(file)
    except UnicodeDecodeError as error:
        raise UserError(f"{file} is not UTF-8 text") from error
    except SiteError as error:
        raise UserError(f"{file} can't be used:\n{error}") from error
    return text


def _facts(found: Site) -> dict[str, Any]:
    """What a site file says, in short."""
    return {
        "site": found.name,
        "machines": [machine.name for machine in found.machines],
        "expected": {count.profile: count.count for count in found.counts},
        "racks": [rack.name for rack in found.racks],
        "networks": {network.name: network.plane.value for network in found.networks},
        "clusters": [cluster.name for cluster in found.clusters],
        "pools": {pool.name: pool.service.value for pool in found.ceph.pools} if found.ceph else {},
        "backbone": found.backbone.shape.value if found.backbone else "",
        "secrets": list(found.secrets),
    }


def _summary(file: Path, found: Site) -> str:
    network = found.provisioning
    lines = [
        f"{file} is good: site {found.name}, {len(found.machines)} machines, "
        f"network {network.cidr} with the appliance at {network.appliance}"
    ]
    told = {
        "expected": [f"{count.count} {count.profile}" for count in found.counts],
        "racks": [rack.name for rack in found.racks],
        "networks": [f"{network.name} ({network.plane})" for network in found.networks],
        "clusters": [f"{cluster.name} ({cluster.kind})" for cluster in found.clusters],
        "Ceph": [f"pool {pool.name} ({pool.service})" for pool in found.ceph.pools] if found.ceph else [],
        "backbone": [found.backbone.shape.value] if found.backbone else [],
        "secrets": list(found.secrets),
    }
    lines += [f"  {what}: {_listed(words)}" for what, words in told.items() if words]
    return "\n".join(lines)


def _listed(words: list[str]) -> str:
    shown = ", ".join(words[:SHOWN])
    return f"{shown} and {len(words) - SHOWN} more" if len(words) > SHOWN else shown


def _explained(path: str) -> dict[str, Any]:
    from appliance.site.reference import described, find  # noqa: PLC0415 - start-up time

    name, owner, key, inside = find(path)
    told: dict[str, Any] = {"key": name, "about": key.about if key else described(owner) if owner and name else ""}
    if key is not None:
        told |= {"value": key.value, "default": key.default, "example": f"{key.name}: {key.example}"}
        told |= {"inside": described(owner)} if owner is not None else {}
    return {**told, "keys": {entry.name: entry.about for entry in inside}}


def _explanation(told: dict[str, Any]) -> str:
    lines = [f"{told['key']}: {told['about']}" if told["key"] else "Keys of a site file; explain KEY tells more:"]
    lines += [f"  {word:8} {told[word]}" for word in ("value", "default", "example") if word in told]
    lines += ["", told["inside"]] if "inside" in told else []
    width = max((len(name) for name in told["keys"]), default=0)
    lines += [f"  {name:{width}}  {about}" for name, about in told["keys"].items()]
    return "\n".join(lines)


def _problem(problem: Any) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
