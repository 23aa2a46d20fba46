"""`rackseed plan`, `rackseed explain` and `rackseed apply`: what would happen and why, and doing exactly that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from appliance.cli.errors import EXIT_OK
from appliance.cli.flow import check_end, exit_code, print_made, watch
from appliance.cli.options import connected, print_json, print_table

if TYPE_CHECKING:
    from appliance.cli.client import Client

NEWEST = "newest"
"""The API's word for the plan that was made last."""


@click.group(invoke_without_command=True)
@click.option("--check", is_flag=True, help="Exit with 4 when there are changes, else 3 when something waits.")
@click.pass_context
@connected
def plan(context: click.Context, client: Client, form: str, check: bool) -> int:
    """Show what would happen, and every disk that would be erased. Nothing is changed by planning."""
    if context.invoked_subcommand is not None:
        return EXIT_OK
    made = client.post("/plans")
    print_made(made, form)
    return exit_code(made) if check else EXIT_OK


@plan.command("show")
@click.argument("hash_", metavar="HASH")
@connected
def show(client: Client, form: str, hash_: str) -> None:
    """A plan that was made before, with the state of its steps. The beginning of the hash is enough."""
    print_made(client.get(f"/plans/{hash_}"), form)


@plan.command("list")
@connected
def list_plans(client: Client, form: str) -> None:
    """Plans, the newest first."""
    items = client.every("/plans", "plans")
    if form == "json":
        print_json({"plans": items})
        return
    numbers = ("steps", "erased", "assigned", "waits", "errors")
    rows = [
        (i["hash"][:12], i["state"], i["made"] or "", i["made_by"], *(f"{i[name]}" for name in numbers)) for i in items
    ]
    print_table(("plan", "state", "made", "by", *numbers), rows)


@plan.command("layout")
@click.argument("hash_", metavar="[HASH]", default=NEWEST)
@connected
def layout(client: Client, form: str, hash_: str) -> None:
    """How the site is to be in the end, as JSON: nodes and their networks, clusters, Ceph, backbone, availability. Without
    HASH of the plan that was made last."""
    document = client.get(f"/plans/{hash_}/layout")
    print_json(document if form == "json" else document["desired"])


@plan.command("crush")
@click.argument("hash_", metavar="[HASH]", default=NEWEST)
@connected
def crush(client: Client, form: str, hash_: str) -> None:
    """The CRUSH map as text, for crushtool -c. Without HASH of the plan that was made last."""
    document = client.get(f"/plans/{hash_}/crush")
    if form == "json":
        print_json(document)
    else:
        click.echo(document["text"].rstrip("\n"))


@click.command()
@click.argument("what", metavar="WHAT")
@click.option("--plan", "hash_", metavar="HASH", default=NEWEST, help="The plan to ask; the one made last without it.")
@connected
def explain(client: Client, form: str, what: str, hash_: str) -> None:
    """Everything that a plan knows about WHAT, and why it decided so.

    WHAT is a machine (name, id, serial or MAC), a disk (serial or WWN, or four letters of it that no other disk has;
    MACHINE/SERIAL where several have it), a step (install/m-…), a pool, a cluster, osd.N, or backbone.
    """
    from appliance.cli.colour import print_plan  # noqa: PLC0415 - the planner's words cost start-up time

    document = client.get(f"/plans/{hash_}/explain", what=what)
    if form == "json":
        print_json(document)
    else:
        print_plan(document["text"])


@click.command()
@click.argument("hash_", metavar="HASH")
@click.option("--no-wait", is_flag=True, help="Return when the plan was accepted.")
@connected
def apply(client: Client, form: str, hash_: str, no_wait: bool) -> None:
    """Do exactly what the plan HASH says, and show how far it is. Interrupting this command stops nothing."""
    accepted = watch(client, client.post(f"/plans/{hash_}/apply"), form, no_wait=no_wait)
    if form == "json":
        print_json(accepted)
    check_end(accepted)
