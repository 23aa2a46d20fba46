"""`rackseed timeline`: everything that happened to a machine, the missing step, and what happens next as it happens."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.machine import path
from appliance.cli.options import connected, print_json

if TYPE_CHECKING:
    from appliance.cli.client import Client


@click.command()
@click.argument("key", metavar="MACHINE")
@click.option("--follow", is_flag=True, help="Go on printing as things happen.")
@connected
def timeline(client: Client, form: str, key: str, follow: bool) -> None:
    """What happened to a machine, and which step is missing. MACHINE is an id, a name or a MAC address."""
    found = client.get(f"/machines/{path(key)}/timeline")
    if form == "json" and not follow:
        print_json(found)
        return
    for entry in found["entries"]:
        _print(entry, form)
    if form == "text":
        _print_missing(found)
    if follow:
        last = found["entries"][-1]["seq"] if found["entries"] else 0
        _follow(client, form, found["machine"]["id"], last)


def _follow(client: Client, form: str, machine: str, last: int) -> None:
    """The stream ends now and then; it is taken up where it ended."""
    while True:
        for event in client.events(machine=machine, since=str(last)):
            last = event["seq"]
            _print(event, form)


def _print(entry: dict[str, Any], form: str) -> None:
    if form == "json":
        click.echo(json.dumps(entry, sort_keys=True, ensure_ascii=False))
    else:
        click.echo(f"{clock_text(entry['at'])}  {entry['kind']:<14} {entry['text']}")


def _print_missing(found: dict[str, Any]) -> None:
    missing = found["missing"]
    if missing is None:
        return
    word = "missing" if missing["overdue"] else "next"
    click.echo(f"\n{word}: {missing['step']}")
    if missing["overdue"]:
        click.echo(f"  likely: {missing['cause']}")
        click.echo(f"  do:     {missing['action']}")


def clock_text(instant: str) -> str:
    """RFC 3339 → local time of day with seconds."""
    return datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")
