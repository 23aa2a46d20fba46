"""Disk health by smartctl, where it is installed and the disk answers."""

from __future__ import annotations

import json
import shutil
from typing import Any

from agent.run import SEARCH_PATH, CommandError, run
from agent.wire import Smart

ASKED = frozenset({"nvme", "sata", "sas", "scsi"})
"""Transports worth asking: virtio disks have no SMART, USB bridges may hang on it."""

REALLOCATED = 5


def health(node: str, transport: str) -> Smart | None:
    """None when nothing was learnt. smartctl's exit code is a bit mask in which most bits are findings, not failures."""
    if transport not in ASKED or shutil.which("smartctl", path=SEARCH_PATH) is None:
        return None
    try:
        answer = run(["smartctl", "--json", "--all", node], timeout=20, check=False)
        return parse(json.loads(answer.stdout))
    except (CommandError, ValueError):
        return None


def parse(document: Any) -> Smart | None:
    """smartctl's JSON (format 1.0) of ATA, SCSI and NVMe disks; None when it holds no health at all."""
    if not isinstance(document, dict):
        return None
    smart = Smart(
        healthy=_pick(document, bool, "smart_status", "passed"),
        temperature_celsius=_pick(document, int, "temperature", "current"),
        power_on_hours=_pick(document, int, "power_on_time", "hours"),
        percentage_used=_first(
            _pick(document, int, "nvme_smart_health_information_log", "percentage_used"),
            _pick(document, int, "scsi_percentage_used_endurance_indicator"),
            _pick(document, int, "endurance_used", "current_percent"),
        ),
        reallocated=_first(_reallocated(document), _pick(document, int, "scsi_grown_defect_list")),
    )
    return None if smart == Smart() else smart


def _pick(document: Any, kind: type, *keys: str) -> Any:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if type(document) is kind else None


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _reallocated(document: dict[str, Any]) -> int | None:
    rows = document.get("ata_smart_attributes", {})
    table = rows.get("table") if isinstance(rows, dict) else None
    for row in table if isinstance(table, list) else []:
        if isinstance(row, dict) and row.get("id") == REALLOCATED:
            value = _pick(row, int, "raw", "value")
            return value if value is None or isinstance(value, int) else None
    return None
