"""`rackseed ceph`: what Ceph's pools give one client, measured beside what the plan promised."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from appliance.cli.errors import CommandError
from appliance.cli.options import connected, print_json, print_table

if TYPE_CHECKING:
    from appliance.cli.client import Client

LOOK_SECONDS = 1.0


@click.group()
def ceph() -> None:
    """Measure Ceph's pools, and show how fast they are."""


@ceph.command("throughput")
@connected
def throughput(client: Client, form: str) -> None:
    """Bound, expectation and the last measurement of every pool for large data."""
    _print(client.get("/ceph/throughput"), form)


@ceph.command("measure")
@click.argument("pools", metavar="[POOL]...", nargs=-1)
@click.option("--no-wait", is_flag=True, help="Return when the measurement has begun.")
@connected
def measure(client: Client, form: str, pools: tuple[str, ...], no_wait: bool) -> None:
    """Write and read large objects for 10 s each in every POOL (without one: in all for large data), from a member of the
    cluster. At most 4 GiB lie in a pool meanwhile; they are removed. Refused while Ceph is not well, too full, or worked on
    by a plan."""
    found = client.post("/ceph/throughput", {"pools": list(pools)})
    if not no_wait:
        found = _follow(client, found, form)
    _print(found, form)
    asked = found["measuring"]
    if asked and asked["state"] in {"failed", "refused", "void"}:
        raise CommandError(f"it was not measured to the end: {asked['message'] or asked['state']}")


def _follow(client: Client, found: dict[str, Any], form: str) -> dict[str, Any]:
    said = ""
    while (asked := found["measuring"]) and asked["running"]:
        words = f"{asked['name']} measures {asked['message']}".rstrip()
        if form == "text" and words != said:
            click.echo(words)
            said = words
        time.sleep(LOOK_SECONDS)
        found = client.get("/ceph/throughput")
    return found


def _print(found: dict[str, Any], form: str) -> None:
    if form == "json":
        print_json(found)
        return
    rows = [
        (
            one["pool"],
            way,
            _rate(one["measured"][way]["rate"]) if one["measured"] else "not measured",
            _rate(one[f"{way}_expected"]),
            _rate(one[f"{way}_bound"]),
            (one["measured"] or {}).get("at") or "",
        )
        for one in found["pools"]
        for way in ("write", "read")
    ]
    print_table(("pool", "", "measured", "expected", "never above", "at"), rows)
    for one in found["pools"]:
        click.echo(f"{one['pool']}: limit: {one['limit']}")
        for hint in one["hints"]:
            click.echo(f"{one['pool']}: {hint}")


def _rate(rate: int) -> str:
    return f"{rate / 1e6:.1f} MB/s"
