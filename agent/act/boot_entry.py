"""UEFI boot entries through efibootmgr: ours first, the order of the others kept."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from agent.errors import InstallError
from agent.run import run

LABEL = "debian"
EFIVARS = Path("/sys/firmware/efi/efivars")
ENTRY = re.compile(r"^Boot([0-9A-Fa-f]{4})\*?\s+(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """``number`` is four upper case hex digits; ``text`` label and device path, as efibootmgr prints them."""

    number: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BootState:
    """What the firmware's variables say."""

    order: tuple[str, ...]
    entries: tuple[Entry, ...]

    def of_partition(self, guid: str) -> tuple[Entry, ...]:
        """Entries that start from one partition."""
        return tuple(entry for entry in self.entries if guid.lower() in entry.text.lower())


def parse(text: str) -> BootState:
    """Output of ``efibootmgr -v`` (versions 17 and 18)."""
    order = re.search(r"^BootOrder:\s*([0-9A-Fa-f,]+)", text, re.MULTILINE)
    return BootState(
        order=tuple(number.upper() for number in order[1].split(",")) if order else (),
        entries=tuple(Entry(number=number.upper(), text=rest) for number, rest in ENTRY.findall(text)),
    )


def read() -> BootState:
    """Raises `CommandError`."""
    if not any(EFIVARS.glob("BootOrder-*")) and not any(EFIVARS.iterdir()):
        run(["mount", "-t", "efivarfs", "efivarfs", str(EFIVARS)])
    return parse(run(["efibootmgr", "-v"]).stdout)


def put_first(disk: str, number: int, guid: str, loader: str) -> str:
    """Make one entry for the ESP ``number`` of ``disk`` and put it first; earlier ones for this ESP are removed.

    Read back and verified; returns what changed, for the progress message. Raises `InstallError`, `CommandError`.
    """
    before = read()
    for entry in before.of_partition(guid):
        run(["efibootmgr", "-q", "-b", entry.number, "-B"])
    run(["efibootmgr", "-q", "-c", "-d", disk, "-p", str(number), "-L", LABEL, "-l", loader])
    after = read()
    ours = after.of_partition(guid)
    if len(ours) != 1:
        raise InstallError(f"the firmware keeps {len(ours)} boot entries for the new system instead of one")
    if after.order[:1] != (ours[0].number,):
        rest = [other for other in after.order if other != ours[0].number]
        run(["efibootmgr", "-q", "-o", ",".join([ours[0].number, *rest])])
        after = read()
    if after.order[:1] != (ours[0].number,):
        raise InstallError(
            f"the firmware does not put Boot{ours[0].number} first: BootOrder is {','.join(after.order)}"
        )
    return f"BootOrder {','.join(before.order) or '(none)'} -> {','.join(after.order)}"


def network_next(mac: str) -> str:
    """One network boot (BootNext), from the port ``mac`` if it has an entry, IPv4 first. Raises `InstallError`."""
    state = read()
    wanted = mac.replace(":", "").lower()
    ports = [entry for entry in state.entries if re.search(r"mac\(", entry.text, re.IGNORECASE)]
    best = sorted(ports, key=lambda entry: (wanted not in entry.text.lower(), "IPv4" not in entry.text, entry.number))
    if not best:
        raise InstallError("the firmware has no boot entry for a network port: enable network boot in its setup")
    run(["efibootmgr", "-q", "-n", best[0].number])
    return f"BootNext {best[0].number}"
