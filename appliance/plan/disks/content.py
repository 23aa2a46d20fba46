"""What is on a disk now, in words, and whether it is anybody's."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from agent.wire import Content, Disk, Signature
from appliance.model.observed import ObservedMachine
from appliance.plan.disks.layout import partition_guids
from hwprofiles.values import show_size

_MANY = 4
_REMEMBERED = 1 << 14
"""A site has few different contents (most disks are blank), so words and fingerprints are made once for each."""


@lru_cache(maxsize=_REMEMBERED)
def describe(content: Content) -> str:
    """One line for people: ``blank``, ``gpt table; part 2: ext4 'data'``, ``unrecognised data``."""
    if content.blank:
        return "blank"
    words = [_signature(signature) for signature in content.signatures]
    for partition in content.partitions:
        signatures = ", ".join(_signature(signature) for signature in partition.signatures)
        label = f" '{partition.label}'" if partition.label else ""
        words.append(
            f"partition {partition.number}{label} {show_size(partition.size)}: {signatures or 'no filesystem'}"
        )
    if len(words) > _MANY:
        words = [*words[:_MANY], f"and {len(words) - _MANY} more"]
    if content.table and not words:
        words = ["no partitions"]
    if content.boot:
        words.append("bootable")
    table = f"{content.table} table: " if content.table else ""
    return f"{table}{'; '.join(words)}" if words else "data that is not recognised, or could not be read"


@lru_cache(maxsize=_REMEMBERED)
def fingerprint(content: Content) -> str:
    """`Content.fingerprint`, remembered."""
    return content.fingerprint()


def signatures(content: Content) -> Iterator[Signature]:
    """Everything that was recognised, on the disk itself and in its partitions."""
    yield from content.signatures
    for partition in content.partitions:
        yield from partition.signatures


def _signature(signature: Signature) -> str:
    label = f" '{signature.label}'" if signature.label else ""
    owner = f" of {signature.owner}" if signature.owner else ""
    return f"{signature.kind}{label}{owner}"


def is_ours(machine: ObservedMachine, disk: Disk) -> bool:
    """Whether an earlier install of this same machine wrote the disk: its GPT disk GUID is one of the machine's permits,
    or its partitions are exactly those that we make on this disk of this machine."""
    content = disk.content
    if content.table_id and content.table_id.lower() in {permit.lower() for permit in machine.permits}:
        return True
    guids = [partition.guid.lower() for partition in content.partitions]
    return bool(guids) and guids == partition_guids(machine.machine.id, disk)
