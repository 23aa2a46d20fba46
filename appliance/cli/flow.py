"""The way of every verb that ends in a plan: what is wanted is recorded, a plan is made and shown, a person confirms exactly
this plan, it is carried out and followed to its end.

A command that has such a way takes `flow_options`, records what is wanted by one call of the API, and returns `carry_out`:

    @click.command("osd")
    @click.argument("number", type=int)
    @flow_options
    @connected
    def remove_osd(client: Client, form: str, way: Way, number: int) -> int:
        wanted = client.post(f"/osds/{number}/leave")
        return carry_out(client, form, way, wanted=wanted, said=f"osd.{number} shall leave")

Nothing is lost when it is interrupted: the appliance goes on, and the same command again finds what is recorded.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import EXIT_CHANGES, EXIT_INTERRUPTED, EXIT_OK, EXIT_WAITS, CommandError
from appliance.cli.options import Command, print_json, print_table

if TYPE_CHECKING:
    from appliance.cli.client import Client

LOOK_SECONDS = 1.0
OVER = ("done", "failed", "superseded")
LETTERS = 6
"""Of a plan's hash, which a person types to confirm it: nobody agrees to a plan that was not read, or to another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How far a verb goes. ``yes``: without asking; ``plan_only``: until the plan; ``no_wait``: until it is accepted."""

    yes: bool = False
    plan_only: bool = False
    no_wait: bool = False


def flow_options(command: Command) -> Callable[..., Any]:
    """Adds ``--yes``, ``--plan-only`` and ``--no-wait``; the command gets ``way``."""

    @click.option("--yes", is_flag=True, help="Apply the plan without asking, for scripts.")
    @click.option("--plan-only", is_flag=True, help="Stop after the plan; exit as `plan --check` does.")
    @click.option("--no-wait", is_flag=True, help="Return when the plan was accepted.")
    @functools.wraps(command)
    def wrapped(*arguments: Any, yes: bool, plan_only: bool, no_wait: bool, **options: Any) -> Any:
        if yes and plan_only:
            raise click.UsageError("--yes applies the plan, --plan-only does not: give one of them")
        return command(*arguments, way=Way(yes=yes, plan_only=plan_only, no_wait=no_wait), **options)

    return wrapped


def carry_out(
    client: Client,
    form: str,
    way: Way,
    *,
    wanted: Any = None,
    said: str = "",
    explain: Callable[[dict[str, Any]], None] | None = None,
) -> int:
    """From what is recorded to the end of the plan. ``wanted`` is what the API answered (part of the JSON document),
    ``said`` the same for people, ``explain`` prints what this verb has to say of the plan. Returns the exit code: 0 all
    that was wanted is done, 3 something waits, 4 there is a plan that was not applied. Raises `CommandError`."""
    text = form == "text"
    if text and said:
        click.echo(said)
    made = client.post("/plans")
    if text:
        if explain is not None:
            explain(made)
        print_made(made, form)
    if way.plan_only or not made["changes"] or made["state"] in OVER or not _agreed(made, form, way):
        return _leave(made, form, wanted)
    accepted = made if made["state"] == "accepted" else client.post(f"/plans/{made['hash']}/apply")
    accepted = watch(client, accepted, form, no_wait=way.no_wait)
    if not text:
        print_json({"wanted": wanted, "plan": accepted})
    check_end(accepted)
    return EXIT_WAITS if accepted["waits"] else EXIT_OK


def _leave(made: dict[str, Any], form: str, wanted: Any) -> int:
    if form == "json":
        print_json({"wanted": wanted, "plan": made})
    return exit_code(made)


def _agreed(made: dict[str, Any], form: str, way: Way) -> bool:
    """Whether a person, or ``--yes``, agreed to exactly this plan. A plan that is at work was agreed to before."""
    if way.yes or made["state"] == "accepted":
        return True
    if form == "json" or not sys.stdin.isatty():
        return False
    start = made["hash"][:LETTERS]
    answer = click.prompt(
        f"To apply exactly this plan, type {start}", default="", show_default=False, prompt_suffix=": "
    )
    if answer.strip().lower() == start:
        return True
    click.echo("nothing was applied; what is wanted stays recorded")
    return False


def exit_code(made: dict[str, Any]) -> int:
    """Of a plan that was not applied: 4 it has changes, else 3 it has waits, else 0."""
    if made["changes"] and made["state"] not in OVER:
        return EXIT_CHANGES
    return EXIT_WAITS if made["waits"] else EXIT_OK


def watch(client: Client, accepted: dict[str, Any], form: str, *, no_wait: bool = False) -> dict[str, Any]:
    """Follow an accepted plan to its end, or say where to look. Ctrl-C stops only the looking."""
    short = accepted["hash"][:12]
    if no_wait:
        if form == "text":
            click.echo(f"plan {short} is {accepted['state']}; see: rackseed plan show {short}")
        return accepted
    if form == "text":
        click.echo(f"plan {short} is accepted; the appliance carries it out, also without this command")
    try:
        return follow(client, accepted, form)
    except KeyboardInterrupt:
        raise Left(f"plan {short} goes on without this command; look again: rackseed plan show {short}") from None


class Left(CommandError):
    """The person stopped looking; the work goes on."""

    exit_code = EXIT_INTERRUPTED


def check_end(plan: dict[str, Any]) -> None:
    """Raises `CommandError` when the plan did not end well."""
    if plan["state"] == "failed":
        raise CommandError(_failures(plan))
    if plan["state"] == "superseded":
        raise CommandError(f"plan {plan['hash'][:12]} was superseded by another plan before it was done")


def print_made(made: dict[str, Any], form: str) -> None:
    """A plan: its diff, what lint says, and how far its steps are."""
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


def _failures(plan: dict[str, Any]) -> str:
    failed = [
        f"  {step['key']}: {step['error'] or step['state']}" for step in plan["steps"] if step["state"] == "failed"
    ]
    return "\n".join([f"plan {plan['hash'][:12]} failed:", *failed])


def follow(client: Client, plan: dict[str, Any], form: str) -> dict[str, Any]:
    """Until the plan is over: bars on a terminal, else a line whenever a step says something new."""
    if form == "text" and sys.stderr.isatty():
        return _follow_with_bars(client, plan)
    said: dict[str, str] = {}
    while True:
        for step in plan["steps"] if form == "text" else ():
            line = f"{step['key']}  {step['state']}  {_progress(step)}".rstrip()
            if said.get(step["key"]) != line:
                said[step["key"]] = line
                click.echo(line)
        if plan["state"] in OVER:
            return plan
        time.sleep(LOOK_SECONDS)
        plan = client.get(f"/plans/{plan['hash']}")


def _follow_with_bars(client: Client, plan: dict[str, Any]) -> dict[str, Any]:
    from rich.console import Console  # noqa: PLC0415 - only on a terminal
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[said]}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        tasks = {step["key"]: bars.add_task(step["key"], total=1.0, said="") for step in plan["steps"]}
        while True:
            for step in plan["steps"]:
                done = 1.0 if step["state"] == "done" else step["fraction"]
                bars.update(tasks[step["key"]], completed=done, said=_progress(step) or step["state"])
            if plan["state"] in OVER:
                return plan
            time.sleep(LOOK_SECONDS)
            plan = client.get(f"/plans/{plan['hash']}")
