"""The proof of every pool's rule on the live OSD map, by Ceph's own ``osdmaptool``; judged by `agent.cephproof`.

Judged here, not at the appliance: a map of 100 000 groups is some megabytes as text, its verdict a line.
"""

from __future__ import annotations

import json

from agent import cephproof
from agent.act import cephfiles as files
from agent.act.cephcrush import CEPH
from agent.act.cepherrand import Errand
from agent.act.cephmonitors import scratch
from agent.errors import CephError, OrderRefusedError
from agent.run import CommandError, run

SECONDS = 300.0
SHOWN = 3
"""Problems in the message; the rest is counted."""


def prove(errand: Errand) -> str:
    """As client.admin. Raises `CephError` with what breaks a law."""
    laws = errand.order.laws
    if not laws:
        raise OrderRefusedError("the order to prove names no pool")
    files.need_programs(("ceph", "osdmaptool"))
    errand.tell("prove", 0.2, f"{len(laws)} pools")
    try:
        with scratch() as place:
            live = place / "osdmap"
            run([*CEPH, "osd", "getmap", "-o", str(live)], timeout=SECONDS)
            dump, tree, mappings = (
                run(["osdmaptool", str(live), *words], timeout=SECONDS).stdout
                for words in (("--dump", "json"), ("--tree=json",), ("--test-map-pgs-dump",))
            )
        verdict = cephproof.judge(laws, json.loads(dump), json.loads(tree), mappings)
    except (CommandError, ValueError) as error:
        raise CephError(f"the live map can't be judged: {error}") from error
    if verdict.problems:
        more = len(verdict.problems) - SHOWN
        raise CephError("; ".join((*verdict.problems[:SHOWN], *([f"and {more} more"] if more > 0 else ()))))
    names = ", ".join(law.pool for law in laws)
    return f"{verdict.groups} PGs are where the plan wants them, each may lose any one domain; pools: {names}"
