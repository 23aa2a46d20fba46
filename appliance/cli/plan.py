"""`rackseed plan`, `rackseed explain` and `rackseed apply`: what would happen and why, and doing exactly that."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import EXIT_CHANGES, EXIT_OK, EXIT_WAITS, CommandError
from appliance.cli.options import connected, print_json, print_table

if TYPE_CHECKING:
    from appliance.cli.client import Client

LOOK_SECONDS = 1.0
OVER = ("done", "failed", "superseded")
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
    _print_plan(made, form)
    return _exit_code(made) if check else EXIT_OK


@plan.command("show")
@click.argument("hash_", metavar="HASH")
@connected
def show(client: Client, form: str, hash_: str) -> None:
    """A plan that was made before, with the state of its steps. The beginning of the hash is enough."""
    _print_plan(client.get(f"/plans/{hash_}"), form)


@plan.command("list")
@connected
def list_plans(client: Client, form: str) -> None:
    """Plans, the newest first."""
    items = client.every("/plans", "plans")
    if form == "json":
        print_json({"plans": items})
        return
    rows = [(i["hash"][:12], i["state"], i["made"] or "", i["made_by"], f"{len(i['steps'])}") for i in items]
    print_table(("plan", "state", "made", "by", "steps"), rows)


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
    accepted = client.post(f"/plans/{hash_}/apply")
    if not no_wait:
        if form == "text":
            click.echo(
                f"plan {accepted['hash'][:12]} is accepted; the appliance carries it out, also without this command"
            )
        accepted = _follow(client, accepted, form)
    if form == "json":
        print_json(accepted)
    elif no_wait:
        click.echo(
            f"plan {accepted['hash'][:12]} is {accepted['state']}; see: rackseed plan show {accepted['hash'][:12]}"
        )
    if accepted["state"] == "failed":
        raise CommandError(_failures(accepted))
    if accepted["state"] == "superseded":
        raise CommandError(f"plan {accepted['hash'][:12]} was superseded by another plan before it was done")


def _exit_code(made: dict[str, Any]) -> int:
    if made["changes"]:
        return EXIT_CHANGES
    return EXIT_WAITS if made["waits"] else EXIT_OK


def _print_plan(made: dict[str, Any], form: str) -> None:
    if form == "json":
        print_json(made)
        return
    from appliance.cli.colour import print_plan  # noqa: PLC0415 - the planner's words cost start-up time

    short = made["hash"][:12]
    print_plan(made["diff"])
    for finding in made["lint"]:
        click.echo(f"{finding['severity']}: {finding['about']}: {finding['text']} ({finding['rule']})")
    if made["state"] != "draft":
        click.echo(f"\nplan {short} is {made['state']}, accepted by {made['accepted_by']} at {made['accepted']}")
        print_table(("step", "state", "progress"), [(s["key"], s["state"], _progress(s)) for s in made["steps"]])
    elif made["changes"]:
        click.echo(f"\napply exactly this with: rackseed apply {short}")


def _progress(step: dict[str, Any]) -> str:
    if step["error"]:
        return str(step["error"])
    if step["state"] != "running":
        return ""
    return f"{step['fraction']:.0%} {step['stage']}".rstrip()


def _failures(plan_: dict[str, Any]) -> str:
    failed = [
        f"  {step['key']}: {step['error'] or step['state']}" for step in plan_["steps"] if step["state"] == "failed"
    ]
    return "\n".join([f"plan {plan_['hash'][:12]} failed:", *failed])


def _follow(client: Client, plan_: dict[str, Any], form: str) -> dict[str, Any]:
    """Until the plan is over: bars on a terminal, else a line whenever a step says something new."""
    if form == "text" and sys.stderr.isatty():
        return _follow_with_bars(client, plan_)
    said: dict[str, str] = {}
    while True:
        for step in plan_["steps"] if form == "text" else ():
            line = f"{step['key']}  {step['state']}  {_progress(step)}".rstrip()
            if said.get(step["key"]) != line:
                said[step["key"]] = line
                click.echo(line)
        if plan_["state"] in OVER:
            return plan_
        time.sleep(LOOK_SECONDS)
        plan_ = client.get(f"/plans/{plan_['hash']}")


def _follow_with_bars(client: Client, plan_: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {step["key"]: bars.add_task(step["key"], total=1.0, said="") for step in plan_["steps"]}
        while True:
            for step in plan_["steps"]:
                done = 1.0 if step["state"] == "done" else step["fraction"]
                bars.update(tasks[step["key"]], completed=done, said=_progress(step) or step["state"])
            if plan_["state"] in OVER:
                return plan_
            time.sleep(LOOK_SECONDS)
            plan_ = client.get(f"/plans/{plan_['hash']}")
