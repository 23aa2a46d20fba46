"""CRUSH rules that no command can make: put into the live map as text, by Ceph's own compiler.

The map that is changed is the one that was read: `setcrushmap` takes its version and refuses when another change came
between (then it is read again). Rules that are there are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from agent.act import cephfiles as files
from agent.act.cephmonitors import scratch
from agent.errors import CephError
from agent.run import CommandError, run

CEPH = ("ceph", "--connect-timeout", "30")
ATTEMPTS = 5
RULE = re.compile(r"^rule (\S+) \{\n\tid (\d+)\n", re.MULTILINE)
END = "# end crush map"


def add_rules(rules: Sequence[str]) -> str:
    """Returns what was done. As client.admin. Raises `CephError`."""
    files.need_programs(("ceph", "crushtool"))
    try:
        for _ in range(ATTEMPTS):
            said = _once(rules)
            if said:
                return said
    except (CommandError, ValueError) as error:
        raise CephError(f"the CRUSH map can't be changed: {error}") from error
    raise CephError(f"the CRUSH map changed {ATTEMPTS} times while a rule was put into it: ask again")


def _once(rules: Sequence[str]) -> str:
    """Empty when the map changed in the meantime."""
    with scratch() as place:
        old, text, new = place / "old", place / "text", place / "new"
        version = int(run([*CEPH, "osd", "getcrushmap", "-o", str(old)], timeout=180).stderr.split()[-1])
        whole, names = merge(run(["crushtool", "-d", str(old)], timeout=180).stdout, rules)
        if not names:
            return "every rule is there"
        text.write_text(whole, encoding="utf-8")
        run(["crushtool", "-c", str(text), "-o", str(new)], timeout=180)
        done = run([*CEPH, "osd", "setcrushmap", str(version), "-i", str(new)], check=False, timeout=180)
        if done.code == 0:
            return f"rules {', '.join(names)} added"
        now = run([*CEPH, "osd", "getcrushmap", "-o", str(old)], timeout=180).stderr.split()[-1]
        if int(now) == version:
            raise CephError(f"the monitors refuse the CRUSH map with {', '.join(names)}: {done.stderr.strip()[-300:]}")
    return ""


def merge(text: str, rules: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    """A map's text with the rules whose names it has not, and these names. A number that another rule has is replaced by
    the lowest free one: pools name rules, numbers are Ceph's own. Raises ValueError for what is no rule or no map."""
    if END not in text:
        raise ValueError("crushtool gave no map")
    there = {name: int(number) for name, number in RULE.findall(text)}
    taken, added, bodies = set(there.values()), list[str](), list[str]()
    for rule in rules:
        found = RULE.match(rule)
        if found is None:
            raise ValueError(f"{rule[:40]!r} is not the text of a rule")
        name, number = found[1], int(found[2])
        if name in there or name in added:
            continue
        if number in taken:
            number = next(free for free in range(len(taken) + 1) if free not in taken)
        taken.add(number)
        added.append(name)
        bodies.append(f"rule {name} {{\n\tid {number}\n{rule[found.end() :].rstrip()}\n")
    return text.replace(END, "\n".join((*bodies, END)), 1), tuple(added)
