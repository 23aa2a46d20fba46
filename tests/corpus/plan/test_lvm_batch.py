"""What ``ceph-volume lvm batch`` (18.2.7) makes of devices, size by size: all of its cases that were captured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from appliance.plan.osd.batch import DoesNotFitError, FastDevice, data_sizes, fast_sizes

GIB = 1 << 30
EXISTING = 60 * GIB
"""What each existing volume takes in the vectors with some (their fast devices have so much less free)."""


def vectors(corpus: Path, kind: str) -> list[dict[str, Any]]:
    path = corpus / "ceph" / "lvm-batch-vectors.json"
    if not path.is_file():
        pytest.skip(f"the corpus has no {path}")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[kind]
    return found


def test_data(corpus: Path) -> None:
    cases = vectors(corpus, "data")
    for case in cases:
        sizes = data_sizes(case["size_gib"] * GIB, case["osds_per_device"], case["data_allocate_fraction"])
        found = [[f"/dev/d{device}", size] for device in range(case["devices"]) for size in sizes]
        assert found == case["result"], case
    assert len(cases) == 33


def test_db(corpus: Path) -> None:
    cases = vectors(corpus, "db")
    for case in cases:
        size = case["fast_gib"] * GIB
        device = FastDevice(
            size=size,
            free=size - case["existing_lvs_per_fast"] * EXISTING,
            taken=case["existing_lvs_per_fast"],
            slots=case["slots"] or 0,
            most=case["fast_slots_per_device"],
        )
        wanted = (case["db_gib"] or 0) * GIB
        if case["error"]:
            with pytest.raises(DoesNotFitError):
                fast_sizes([device] * case["fast"], case["hdds"], wanted)
            continue
        found = fast_sizes([device] * case["fast"], case["hdds"], wanted)
        assert [[f"/dev/nvme{at}n1", got] for at, got in found] == case["allocs"], case
        assert (len(found) == case["hdds"]) == case["complete"], case
    assert len(cases) == 260
