"""Commands to the monitors, as librados takes them. Each may be given again: then it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from agent.cephorder import MonCommand
from agent.wire import encode
from appliance.kinds.ceph.keys import Caps, digest
from appliance.kinds.ceph.names import LEAVING, profile, secret
from appliance.kinds.ceph.there import NAMESPACES, same_share
from appliance.model.ceph import Bucket, OsdLayout, PoolLayout, Service
from appliance.model.cephstate import PoolState

EXISTS, GONE = 17, 2
NOTES = "rackseed/"
"""Where our notes are in the monitors' key-value store (``ceph config-key dump rackseed/``)."""


def command(prefix: str, *, manager: bool = False, may_fail: tuple[int, ...] = (), **arguments: Any) -> MonCommand:
    """``prefix`` and ``arguments`` by the names of Ceph's command table (MonCommands.h)."""
    text = json.dumps({"prefix": prefix, **arguments, "format": "json"})
    return MonCommand(command=text, manager=manager, may_fail=may_fail)


def import_key(fsid: str, entity: str, caps: Caps) -> tuple[MonCommand, ...]:
    """Make a key known, with these caps and no others, and note it: whoever could list keys would see them."""
    lines = [f"[{entity}]", "\tkey = {secret}", *(f'\tcaps {kind} = "{what}"' for kind, what in caps)]
    text = json.dumps({"prefix": "auth import", "format": "json"})
    known = MonCommand(command=text, payload="\n".join([*lines, ""]), secret=secret(fsid, entity))
    return known, note(f"keys/{entity}", digest(caps))


def remove_key(entity: str) -> tuple[MonCommand, ...]:
    return command("auth rm", entity=entity, may_fail=(GONE,)), forget(f"keys/{entity}")


def note(name: str, value: str) -> MonCommand:
    return command("config-key set", key=NOTES + name, val=value)


def note_namespaces(pool: PoolLayout) -> MonCommand:
    """That the pool has namespaces of ours: from then on they are looked at."""
    return note(f"{NAMESPACES}{pool.name}", " ".join(pool.namespaces))


def note_leaving(old: OsdLayout, number: int) -> MonCommand:
    """What has to be known of an OSD until nothing of it is left, also by a plan whose parent has it no more."""
    return note(f"{LEAVING}osd.{number}", encode(replace(old, number=number)).decode())


def forget(name: str) -> MonCommand:
    return command("config-key rm", key=NOTES + name, may_fail=(GONE,))


def bucket(one: Bucket, parent: str, parent_level: str) -> Iterator[MonCommand]:
    """A bucket of the tree below its parent, wherever it hung before; roots have none."""
    yield command("osd crush add-bucket", name=one.name, type=one.level, may_fail=(EXISTS,))
    if parent:
        yield command("osd crush move", name=one.name, args=[f"{parent_level}={parent}"])


def rule_text(number: int, name: str, erasure: bool, steps: Iterable[str]) -> str:
    """A rule as crushtool writes it."""
    kind = "erasure" if erasure else "replicated"
    return "\n".join((f"rule {name} {{", f"\tid {number}", f"\ttype {kind}", *(f"\t{step}" for step in steps), "}"))


def erasure_profile(pool: PoolLayout) -> MonCommand | None:
    """Its failure domain is only for people: the pool has a rule of its own."""
    if pool.erasure is None:
        return None
    words = [
        "plugin=jerasure",
        "technique=reed_sol_van",
        f"k={pool.erasure.k}",
        f"m={pool.erasure.m}",
        f"crush-root={pool.root}",
        f"crush-failure-domain={pool.domain}",
        f"crush-device-class={pool.device_class}",
    ]
    return command("osd erasure-code-profile set", name=profile(pool), profile=words)


def create_pool(pool: PoolLayout) -> Iterator[MonCommand]:
    """The profile of a coded pool, the pool, and what it serves. PGs only grow: ``pg_num_min`` keeps the autoscaler from
    going below what the plan counted, and ``target_size_ratio`` tells it what is coming."""
    made = erasure_profile(pool)
    more: dict[str, Any] = {"size": pool.size, "pool_type": "replicated"}
    if made is not None:
        yield made
        more = {"pool_type": "erasure", "erasure_code_profile": profile(pool)}
    if pool.share:
        more["target_size_ratio"] = pool.share
    if pool.name.startswith("."):
        more["yes_i_really_mean_it"] = True  # else Ceph makes no such pool, and says so with code 0
    more |= {"pg_num": pool.pg_num, "pgp_num": pool.pg_num, "pg_num_min": pool.pg_num}
    yield command("osd pool create", pool=pool.name, rule=pool.rule, autoscale_mode="on", **more)
    yield enable(pool)
    if made is not None and pool.service is not Service.OBJECT:
        yield set_pool(pool, "allow_ec_overwrites", "true")


def enable(pool: PoolLayout) -> MonCommand:
    return command("osd pool application enable", pool=pool.name, app=pool.application)


def set_pool(pool: PoolLayout, name: str, value: object) -> MonCommand:
    return command("osd pool set", pool=pool.name, var=name, val=str(value))


def change_pool(pool: PoolLayout, now: PoolState) -> Iterator[MonCommand]:
    """Only what is not as planned: each change is a new map for everybody."""
    if pool.application not in now.applications:
        yield enable(pool)
    wanted: dict[str, tuple[object, object]] = {"crush_rule": (pool.rule, now.rule)}
    if pool.erasure is None:
        wanted["size"] = (pool.size, now.size)
    wanted["min_size"] = (pool.min_size, now.min_size)
    wanted["pg_autoscale_mode"] = ("on", now.autoscale)
    wanted["target_size_ratio"] = (pool.share, pool.share if same_share(pool, now) else now.share)
    for name, (value, is_now) in wanted.items():
        if value != is_now:
            yield set_pool(pool, name, value)
    if now.pg_num < pool.pg_num:
        yield set_pool(pool, "pg_num_min", pool.pg_num)
        yield set_pool(pool, "pg_num", pool.pg_num)


def new_filesystem(name: str, metadata: str, data: str, coded: str) -> Iterator[MonCommand]:
    """``fs new`` of one that stands with the same pools is no error."""
    yield command("fs new", fs_name=name, metadata=metadata, data=data)
    if coded:
        yield command("fs add_data_pool", fs_name=name, pool=coded)


def place_osd(number: int, weight: float, location: Iterable[str]) -> MonCommand:
    """Put a live OSD where it belongs."""
    return command("osd crush set", id=number, weight=weight, args=list(location))


def class_of(number: int, device_class: str, now: str) -> Iterator[MonCommand]:
    """Another device class: Ceph wants the old one taken away first."""
    if now:
        yield command("osd crush rm-device-class", ids=[str(number)])
    arguments: dict[str, Any] = {"class": device_class, "ids": [str(number)]}
    yield command("osd crush set-device-class", **arguments)


def shown(one: MonCommand) -> str:
    """As a person would type it after ``ceph``, for documents and golden files."""
    fields = json.loads(one.command)
    words = [fields.pop("prefix")]
    for name, value in fields.items():
        if name != "format":
            words += [str(item) for item in value] if isinstance(value, list) else [f"{name}={value}"]
    given = f" < {one.payload!r}" if one.payload else ""
    return " ".join(words) + given
