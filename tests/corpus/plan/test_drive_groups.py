"""cephadm's own cases of drive groups (18.2.7): selection, validation, size matching. Every vector runs; where we mean
something else is in `DIFFERENCES`, with the reason (the same table is in docs/disks.md)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agent.wire import Disk
from appliance.model.ceph import DeviceFilter, DriveGroup, FilterLogic
from appliance.plan.osd.drivegroup import Source, misfit, problems, select, size_range, take
from hwprofiles.values import size

DIFFERENCES = {
    "paths": "kernel names move after a reboot; serials name the same disks",
    "crush_device_class": "a device class belongs to a whole drive group; two classes are two groups",
    "journal_devices": "journals belong to FileStore, which Ceph 18 can no longer make",
    "data_devices": "an empty data means the disks of the profile's role osd",
    "filter_logic": "a closed set; the reader of the site file refuses other words with line and column",
}
"""What a cephadm spec can say and ours can't, or means differently. Paths become serials here, and must choose the same."""


class DiffersError(Exception):
    """The spec needs something of `DIFFERENCES`."""


def vectors(corpus: Path, kind: str) -> list[dict[str, Any]]:
    path = corpus / "ceph" / "drive-group-vectors.json"
    if not path.is_file():
        pytest.skip(f"the corpus has no {path}")
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))[kind]
    return found


def device_filter(document: dict[str, Any] | None) -> DeviceFilter:
    given = dict(document or {})
    paths = [path if isinstance(path, str) else path["path"] for path in given.pop("paths", ())]
    return DeviceFilter(**given, serials=tuple(map(serial, paths)))


def serial(path: str) -> str:
    """A serial that stands for a path."""
    return f"SERIAL-{path.rpartition('/')[2]}"


def drive_group(document: dict[str, Any]) -> DriveGroup:
    """A cephadm spec (flat, as it is written, or nested under ``spec``) as one of our drive groups."""
    given = {**document, **document.get("spec", {})}
    if "journal_devices" in given:
        raise DiffersError("journal_devices")
    if "data_devices" not in given:
        raise DiffersError("data_devices")
    if given.get("filter_logic", "AND") not in list(FilterLogic):
        raise DiffersError("filter_logic")
    return DriveGroup(
        name=document["service_id"],
        data=device_filter(given.get("data_devices")),
        db=device_filter(given.get("db_devices")),
        wal=device_filter(given.get("wal_devices")),
        filter_logic=FilterLogic(given.get("filter_logic", "AND")),
        osds_per_device=int(given.get("osds_per_device") or 1),
        db_slots=int(given.get("db_slots") or 0),
        db_size=size(given["block_db_size"]) if given.get("block_db_size") else 0,
        encrypted=bool(given.get("encrypted")),
        device_class=given.get("crush_device_class", ""),
    )


def disks(vector: dict[str, Any]) -> list[Disk]:
    """The inventory as disks, and every path that the spec names. cephadm compares sizes as they are printed, so the printed
    one is the truth here; devices that are named by path have no facts."""
    named = [path for one in vector["result"].values() for path in one]
    found = {device["path"]: device for device in vector["inventory"] if device["available"] or not device["sys_api"]}
    return [disk(path, found.get(path, {}).get("sys_api") or {}) for path in sorted({*found, *named})]


def disk(path: str, facts: dict[str, Any]) -> Disk:
    return Disk(
        path=path,
        serial=serial(path),
        size=size(facts.get("human_readable_size", "0")),
        rotational=facts.get("rotational") == "1",
        model=facts.get("model", ""),
        vendor=facts.get("vendor", ""),
    )


def source(wanted: DeviceFilter, logic: FilterLogic) -> Source[Disk]:
    """A filter as it is, without profiles and grants."""
    return lambda free: take(free, lambda disk: not misfit(wanted, logic, disk), wanted.limit)


def test_selection(corpus: Path) -> None:
    """The same devices for data, DB and WAL, in the same order."""
    same, differ = 0, []
    for vector in vectors(corpus, "selection"):
        try:
            group = drive_group(vector["spec"])
        except DiffersError as reason:
            differ.append(str(reason))
            continue
        sources = [source(wanted, group.filter_logic) for wanted in (group.data, group.wal, group.db)]
        found = select(disks(vector), data=sources[0], wal=sources[1], db=sources[2])
        got = {name: [one.path for one in getattr(found, name)] for name in ("data", "db", "wal")}
        assert got == {name: vector["result"][name] for name in got}, vector["test"]
        same += 1
    assert (same, differ) == (14, ["journal_devices"])


def test_validation(corpus: Path) -> None:
    """What cephadm refuses, we refuse; what it takes, we take."""
    same, differ = 0, []
    for vector in vectors(corpus, "validate"):
        try:
            found = problems(drive_group(vector["input"]))
        except DiffersError as reason:
            differ.append(str(reason))
            continue
        assert (not found) == vector["ok"], (vector["test"], found)
        same += 1
    assert (same, differ) == (10, ["filter_logic", "data_devices"])


def test_sizes(corpus: Path) -> None:
    """Exact sizes, ranges, and what is none."""
    seen = 0
    for vector in vectors(corpus, "match"):
        text = vector["filter"]
        if "error" in vector:
            with pytest.raises(ValueError, match="expected a size"):
                size_range(text)
        else:
            shown = vector["disk"].get("human_readable_size") or vector["disk"]["size"]
            assert (size(shown) in size_range(text)) == vector["match"], vector
        seen += 1
    assert seen == 24


def test_every_difference_is_documented() -> None:
    page = " ".join((Path(__file__).parents[3] / "docs" / "disks.md").read_text(encoding="utf-8").split())
    for word, reason in DIFFERENCES.items():
        assert f"`{word}`" in page, word
        assert reason in page, reason
