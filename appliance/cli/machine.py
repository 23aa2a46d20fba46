"""`rackseed machine`: look at machines, let them in, and say what is wanted of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from appliance.cli.image import size_text
from appliance.cli.options import connected, print_fields, print_json, print_table

if TYPE_CHECKING:
    from appliance.cli.client import Client

POLICIES = ("hold", "use", "drain", "expunge")


@click.group()
def machine() -> None:
    """List, show, approve and change machines. MACHINE is an id, a name or a MAC address."""


@machine.command("list")
@click.option("--retired", is_flag=True, help="Also machines that were retired.")
@connected
def list_machines(client: Client, form: str, retired: bool) -> None:
    """All machines, with what to do next."""
    items = client.every("/machines", "machines")
    shown = [item for item in items if retired or item["phase"] != "retired"]
    if form == "json":
        print_json({"machines": shown})
        return
    if not shown:
        click.echo("no machine was seen yet: power one on, and see that it boots from the network")
        return
    columns = ("id", "name", "phase", "policy", "profile", "serial", "address", "trouble", "next")
    print_table(columns, [_row(item) for item in shown])


@machine.command("show")
@click.argument("key", metavar="MACHINE")
@connected
def show_machine(client: Client, form: str, key: str) -> None:
    """One machine: state, hardware, disks with what is on them, ports."""
    detail = client.get(f"/machines/{path(key)}")
    if form == "json":
        print_json(detail)
        return
    item = detail["machine"]
    print_fields(_facts(item))
    inventory = detail["inventory"]
    if inventory:
        if not item["trusted"]:
            click.echo("\nWhat follows is only what the machine claims; it was not approved yet.")
        _print_hardware(inventory)
    if detail["profile_reasons"]:
        click.echo("\nProfiles")
        for line in detail["profile_reasons"]:
            click.echo(f"  {line}")


@machine.command("approve")
@click.argument("key", metavar="MACHINE")
@click.option("--code", default="", help="The code that the machine's console shows.")
@click.option("--without-code", is_flag=True, help="Approve the newest request unseen (noted in the audit trail).")
@connected
def approve(client: Client, form: str, key: str, code: str, without_code: bool) -> None:
    """Let a machine in. The code proves that this console and that request are one machine."""
    if bool(code) == without_code:
        raise click.UsageError("give --code CODE (from the machine's console), or --without-code")
    item = client.post(f"/machines/{path(key)}/approve", {"code": code, "without_code": without_code})
    _print_result(item, form, f"{item['id']} is {item['phase']}")


@machine.command("policy")
@click.argument("key", metavar="MACHINE")
@click.argument("policy", type=click.Choice(POLICIES))
@connected
def set_policy(client: Client, form: str, key: str, policy: str) -> None:
    """Say what is wanted: hold (leave it alone), use, drain, expunge."""
    _set_policy(client, form, key, policy)


@machine.command("use")
@click.argument("key", metavar="MACHINE")
@connected
def use(client: Client, form: str, key: str) -> None:
    """Short for: policy MACHINE use."""
    _set_policy(client, form, key, "use")


@machine.command("hold")
@click.argument("key", metavar="MACHINE")
@connected
def hold(client: Client, form: str, key: str) -> None:
    """Short for: policy MACHINE hold."""
    _set_policy(client, form, key, "hold")


@machine.command("retire")
@click.argument("key", metavar="MACHINE")
@connected
def retire(client: Client, form: str, key: str) -> None:
    """Take a machine out of use; its certificates end, its name and address are free again."""
    item = client.post(f"/machines/{path(key)}/retire")
    _print_result(item, form, f"{item['id']} is {item['phase']}")


@machine.command("merge")
@click.argument("keep", metavar="MACHINE")
@click.argument("gone")
@connected
def merge(client: Client, form: str, keep: str, gone: str) -> None:
    """MACHINE and GONE are one machine: the record of GONE ends."""
    item = client.post(f"/machines/{path(keep)}/merge", {"gone": gone})
    _print_result(item, form, f"{gone} is {item['id']} now, in phase {item['phase']}")


@machine.command("split")
@click.argument("key", metavar="MACHINE")
@click.option("--mac", default="", help="This port was joined to the wrong machine.")
@connected
def split(client: Client, form: str, key: str, mac: str) -> None:
    """MACHINE is a machine of its own though it shares an identity, or --mac belongs to another one."""
    item = client.post(f"/machines/{path(key)}/split", {"mac": mac})
    _print_result(item, form, f"{item['id']} is a machine of its own, in phase {item['phase']}")


def path(key: str) -> str:
    """A key as one segment of a URL."""
    return quote(key, safe=":")


def _set_policy(client: Client, form: str, key: str, policy: str) -> None:
    item = client.post(f"/machines/{path(key)}/policy", {"policy": policy})
    _print_result(item, form, f"{item['id']}: policy {item['policy']}")


def _print_result(item: dict[str, Any], form: str, text: str) -> None:
    if form == "json":
        print_json(item)
    else:
        click.echo(text)
        click.echo(f"next: {item['next_action']}")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    trouble = item["trouble"]
    phase = item["phase"]
    if item["progress"]:
        phase += f" {item['progress']['fraction']:.0%} {item['progress']['stage']}".rstrip()
    return (
        item["id"],
        item["name"] or item["expected"] or "-",
        phase,
        item["policy"],
        item["profile"] or "-",
        item["serial"] or "-",
        item["address"].split("/")[0] or "-",
        trouble["kind"] if trouble else "-",
        item["next_action"],
    )


def _facts(item: dict[str, Any]) -> list[tuple[str, str]]:
    trouble = item["trouble"]
    return [
        ("id", item["id"]),
        ("name", item["name"]),
        ("in the site file", item["expected"]),
        ("phase", f"{item['phase']} since {item['phase_since']}"),
        ("policy", item["policy"]),
        ("trouble", f"{trouble['kind']} since {trouble['since']}: {trouble['text']}" if trouble else ""),
        ("shares identity with", ", ".join(item["conflicts"])),
        ("next", item["next_action"]),
        ("profile", item["profile"]),
        ("board", f"{item['vendor']} {item['product']}".strip()),
        ("serial", item["serial"]),
        ("address", item["address"]),
        ("ports", ", ".join(item["macs"])),
        ("last contact", item["last_contact"] or "never"),
        ("installed by plan", item["installed_by"][:12]),
    ]


def _print_hardware(inventory: dict[str, Any]) -> None:
    cpu, memory = inventory["cpu"], inventory["memory"]
    click.echo(
        f"\n{cpu['model'] or 'unknown CPU'}: {cpu['sockets']} sockets, {cpu['cores']} cores, {cpu['threads']} threads"
    )
    click.echo(f"{size_text(memory['total'])} memory, {inventory['architecture']}, {inventory['firmware']} firmware\n")
    print_table(
        ("disk", "size", "serial", "model", "transport", "what is on it"),
        [
            (
                disk["path"],
                size_text(disk["size"]),
                disk["serial"],
                disk["model"],
                disk["transport"],
                content_text(disk),
            )
            for disk in inventory["disks"]
        ],
    )
    click.echo()
    print_table(
        ("port", "mac", "driver", "link", "neighbour"),
        [(nic["name"], nic["mac"], nic["driver"], _link(nic), _neighbour(nic)) for nic in inventory["nics"]],
    )
    for failure in inventory["failures"]:
        click.echo(f"could not be read: {failure['probe']}: {failure['message']}")


def content_text(disk: dict[str, Any]) -> str:
    """What is on a disk, in words."""
    content = disk["content"]
    if content["blank"]:
        return "blank"
    found = [_signature(item) for item in content["signatures"]]
    for partition in content["partitions"]:
        found += [f"{partition['number']}: {_signature(item)}" for item in partition["signatures"]]
    table = f"{content['table']} table with {len(content['partitions'])} partitions" if content["table"] else ""
    return "; ".join(filter(None, [table, *found])) or "data that nobody recognises"


def _signature(item: dict[str, Any]) -> str:
    return " ".join(filter(None, [item["kind"], item["label"], f"of {item['owner']}" if item["owner"] else ""]))


def _link(nic: dict[str, Any]) -> str:
    if not nic["carrier"]:
        return "no link"
    return f"{nic['speed']} Mbit/s" if nic["speed"] else "up"


def _neighbour(nic: dict[str, Any]) -> str:
    return ", ".join(f"{item['system'] or item['chassis']} {item['port']}" for item in nic["neighbours"])
