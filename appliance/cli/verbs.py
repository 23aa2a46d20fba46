"""`rackseed add`, `rackseed remove`, `rackseed replace`: the life of a Ceph in the words of those who keep it.

Each records what is wanted, makes a plan, shows it, asks, and follows it (`appliance.cli.flow`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from appliance.cli.flow import Way, carry_out, flow_options
from appliance.cli.machine import path
from appliance.cli.options import connected, print_json

if TYPE_CHECKING:
    from appliance.cli.client import Client

MINUTE = 60.0


@click.group()
def replace() -> None:
    """Replace a disk or a machine; numbers and places stay."""


@click.group()
def add() -> None:
    """Add disks or a machine."""


@click.group()
def remove() -> None:
    """Take a machine out, or an OSD that no plan made."""


@replace.command("disk")
@click.argument("disk", metavar="SERIAL")
@click.option("--cancel", is_flag=True, help="Take it back, as long as its OSDs are not destroyed.")
@flow_options
@connected
def replace_disk(client: Client, form: str, way: Way, disk: str, cancel: bool) -> int:
    """Replace the disk of OSDs, also while they run: they are drained, then the number waits for a new disk.

    SERIAL is a serial or a WWN; MACHINE/SERIAL where several have it. When the new disk is in, the same command (or
    rackseed plan) goes on. Exit code 3 says that a new disk is waited for.
    """
    wanted = client.post("/replacements/cancel" if cancel else "/replacements", {"disk": disk})
    if cancel:
        said = f"{_disk(wanted)} shall not be replaced any more"
    else:
        said = f"{_disk(wanted)} ({_osds(wanted['osds'])}) shall be replaced{_eta(wanted['seconds'])}"
    return carry_out(client, form, way, wanted=wanted, said=said)


@replace.command("list")
@connected
def list_replacements(client: Client, form: str) -> None:
    """Disks that shall be replaced, and those that were and may not be used again."""
    found = client.get("/replacements")
    if form == "json":
        print_json(found)
        return
    for one in found["replacements"]:
        what = "is wanted replaced" if one["state"] == "wanted" else f"was replaced: {one['ended_why']}"
        click.echo(f"{_disk(one)} ({_osds(one['osds'])}) {what}; asked by {one['asked_by']} at {one['asked']}")
    if not found["replacements"]:
        click.echo("no disk is being replaced")


@replace.command("node")
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="[NEW]", default="")
@flow_options
@connected
def replace_node(client: Client, form: str, way: Way, old: str, new: str) -> int:
    """Take OLD out of its Ceph, drained or gone for ever, and put NEW in its place.

    NEW stands in the same rack by the site file, and is installed (rackseed add host NEW). Without NEW its place stays
    empty for now. What NEW brings is made before anything leaves.
    """
    wanted = client.post(f"/machines/{path(old)}/leave", {"instead": new})
    return carry_out(client, form, way, wanted=wanted, said=_leaves(wanted))


@remove.command("host")
@click.argument("machine", metavar="MACHINE")
@flow_options
@connected
def remove_host(client: Client, form: str, way: Way, machine: str) -> int:
    """Take MACHINE out of its Ceph: drained first; refused, with the numbers, when the others can't carry it.

    To take it back before it is gone: rackseed add host MACHINE.
    """
    wanted = client.post(f"/machines/{path(machine)}/leave", {"instead": ""})
    return carry_out(client, form, way, wanted=wanted, said=_leaves(wanted))


@remove.command("osd")
@click.argument("number", type=click.IntRange(0), metavar="N")
@click.option("--cancel", is_flag=True, help="Take it back, as long as the plan has not begun with it.")
@flow_options
@connected
def remove_osd(client: Client, form: str, way: Way, number: int, cancel: bool) -> int:
    """Remove osd.N that no plan made: one of old times that is down or empty, an id that waits for no disk.

    Its number, its key and its place in the CRUSH tree go; no disk is touched. Refused while it runs and holds data, and
    while something can't be used without it. An OSD of a plan goes with its disk or its machine instead.
    """
    wanted = client.post("/osd-removals/cancel" if cancel else "/osd-removals", {"number": number})
    where = f" of {wanted['host']}" if wanted["host"] else ""
    said = f"osd.{number}{where} shall {'not be removed any more' if cancel else 'be removed'}"
    return carry_out(client, form, way, wanted=wanted, said=said)


@add.command("host")
@click.argument("machine", metavar="MACHINE")
@flow_options
@connected
def add_host(client: Client, form: str, way: Way, machine: str) -> int:
    """Use MACHINE (policy use): install it where that is missing, form its part where that is missing.

    An approved machine takes two plans, the first installs it; the same command again forms what is left.
    """
    wanted = client.post(f"/machines/{path(machine)}/policy", {"policy": "use"})
    return carry_out(client, form, way, wanted=wanted, said=f"{wanted['name'] or wanted['id']} shall be used")


@add.command("disk")
@click.argument("machine", metavar="[MACHINE]", default="")
@flow_options
@connected
def add_disk(client: Client, form: str, way: Way, machine: str) -> int:
    """Make OSDs of disks that were put in: says of every disk that is not in use what becomes of it, and why.

    Which disks become OSDs is said by drive groups and grants of the site file, never here.
    """
    items = client.every("/machines", "machines")
    names = {item["id"]: item["name"] or item["expected"] or item["id"] for item in items}
    only = client.get(f"/machines/{path(machine)}")["machine"]["id"] if machine else ""

    def explain(made: dict[str, Any]) -> None:
        mine = [disk for disk in made["disks"] if only in ("", disk["machine"])]
        new = [disk for disk in mine if disk["fate"] == "erase"]
        click.echo(f"{len(new)} disks become part of Ceph" if new else "no disk becomes part of Ceph by this plan")
        for disk in new:
            click.echo(f"  + {_called(disk, names)} as {disk['role']}: {disk['why']}; on it now: {disk['now']}")
        for disk in mine:
            if disk["fate"] == "keep":
                click.echo(f"  = {_called(disk, names)} stays as it is: {disk['why']}")
        click.echo("")

    return carry_out(client, form, way, explain=explain)


def _called(disk: dict[str, Any], names: dict[str, str]) -> str:
    return f"{names.get(disk['machine'], disk['machine'])}: {disk['serial'] or disk['wwn']} {disk['model']}".rstrip()


def _disk(wanted: dict[str, Any]) -> str:
    where = f" at {wanted['where']}" if wanted["where"] else ""
    return f"disk {wanted['serial'] or wanted['wwn']} of {wanted['name']}{where}"


def _osds(numbers: list[int]) -> str:
    return ", ".join(f"osd.{number}" for number in numbers)


def _eta(seconds: float | None) -> str:
    if seconds is None:
        return "; it holds nothing that has to move"
    minutes = round(seconds / MINUTE)
    return f"; its drain takes about {minutes} min" if minutes else "; its drain takes less than a minute"


def _leaves(wanted: dict[str, Any]) -> str:
    head = f"{wanted['name']} leaves"
    head += f", {wanted['instead']} takes its place" if wanted["instead"] else ""
    if not wanted["osds"]:
        return f"{head}; it has no OSD"
    running = len(wanted["osds"]) - len(wanted["down"])
    lost = f"; {_osds(wanted['down'])} do not run and are removed when nothing needs them" if wanted["down"] else ""
    return f"{head} with {_osds(wanted['osds'])}{lost}{_eta(wanted['seconds']) if running else ''}"
