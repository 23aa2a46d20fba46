"""How fast pools are for one client: whole large objects, many at a time, for a bounded time and space.

What is written lies in a RADOS namespace of its own, under names that are counted: what an interrupted measurement left is
found by its names and removed by the next one.
"""

from __future__ import annotations

import json

from agent.act import cephcommands as commands
from agent.act.cepherrand import Errand
from agent.errors import CephAnswerError, CephError, OrderRefusedError
from agent.wire import MeasureOrder, MonAnswer

NAMESPACE = "rackseed-measure"
SLACK = 300.0
"""Seconds beside writing and reading: asking where objects lie, and removing them."""
OP_SECONDS = 60
"""A single object that takes longer ends the measurement."""
LONGEST, LARGEST = 60.0, 16 << 30


def measure(errand: Errand) -> tuple[str, tuple[MonAnswer, ...]]:
    """One answer for each pool, in their order: JSON with ``pool``, ``objects``, and ``write`` and ``read`` with ``bytes``
    and ``seconds``. Raises `CephAnswerError` with those of the pools before the one that failed."""
    wanted = errand.order.measure
    if wanted is None or not wanted.pools:
        raise OrderRefusedError("the order to measure names no pool")
    if not (0 < wanted.seconds <= LONGEST and 0 < wanted.size * wanted.objects <= LARGEST and 0 < wanted.depth <= 256):
        raise OrderRefusedError("the order to measure asks for more than may be written beside users' work")
    answers: list[MonAnswer] = []
    for pool in wanted.pools:
        errand.tell("measure", len(answers) / len(wanted.pools), pool)
        try:
            said = commands.talk(_task(pool, wanted), timeout=2 * wanted.seconds + SLACK)
        except CephError as error:
            raise CephAnswerError(f"pool {pool} can't be measured: {error}", tuple(answers)) from error
        answers.append(MonAnswer(code=0, output=json.dumps({"pool": pool, **said})))
    return f"{len(answers)} pools were measured", tuple(answers)


def _task(pool: str, wanted: MeasureOrder) -> dict[str, object]:
    return {
        "do": "measure",
        "entity": commands.CLIENT_ADMIN,
        "options": {"rados_osd_op_timeout": str(OP_SECONDS)},
        "pool": pool,
        "namespace": NAMESPACE,
        "host": wanted.host,
        "seconds": wanted.seconds,
        "size": wanted.size,
        "objects": wanted.objects,
        "depth": wanted.depth,
    }
