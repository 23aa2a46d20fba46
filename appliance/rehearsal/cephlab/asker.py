"""Asks the monitors, one JSON line in, one out, through one connection. Runs in a host or the appliance's place.

In: ``{"command": "{…}", "payload": "", "manager": false, "pool": ""}``. Out: ``{"code": 0, "output": "…", "status": "…"}``.
It ends with 1 when no monitor answers at its start.
"""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

PATIENCE = 5
"""Seconds to find a monitor, and for each answer: while there is no quorum they accept commands and stay silent."""


def main(configuration: str, entity: str) -> int:
    rados: Any = importlib.import_module("rados")  # only hosts of the lab have it
    told = {"rados_mon_op_timeout": str(PATIENCE), "rados_osd_op_timeout": str(PATIENCE)}
    cluster = rados.Rados(conffile=configuration, name=entity, conf=told)
    try:
        cluster.connect(timeout=PATIENCE)
    except rados.Error as error:
        print(f"no monitor answers: {error}", file=sys.stderr)
        return 1
    for line in sys.stdin:
        print(json.dumps(_ask(cluster, json.loads(line))), flush=True)
    return 0


def _ask(cluster: Any, asked: dict[str, Any]) -> dict[str, Any]:
    if asked.get("pool"):
        talk: Any = importlib.import_module("agent.act.cephtalk")
        return dict(talk.namespaces(cluster, asked["pool"]))
    call = cluster.mgr_command if asked.get("manager") else cluster.mon_command
    code, output, status = call(asked["command"], asked.get("payload", "").encode())
    return {"code": abs(code), "output": output.decode("utf-8", "replace"), "status": str(status)}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
