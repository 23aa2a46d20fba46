"""The monitors' answers as `CephState`. Seen on 18.2.7; fields that are not used may be anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from agent.cephorder import MonAnswer
from appliance.kinds.ceph.commands import NOTES
from appliance.kinds.ceph.questions import MANAGER_QUESTIONS, QUESTIONS, SAFE_QUESTION
from appliance.model.cephstate import BucketState, CephState, FilesystemState, OsdState, PoolState

Data = Mapping[str, Any]
KIB = 1024
SAFE = "safe_to_destroy"
NEEDED = ("active", "missing_stats", "stored_pgs")
FILLING = ("full", "backfillfull", "nearfull")
"""Words of an OSD's state, the worst first."""


class AnswerError(ValueError):
    """What a monitor answered can't be read: an error number, no JSON, or not what this version knows. Ask again; when
    it stays, look at the monitor's log."""


def parse(answers: Sequence[MonAnswer], at: float) -> CephState:
    """``answers`` to `questions`, in their order; a manager that did not answer is no error. Raises `AnswerError`."""
    if len(answers) < len(QUESTIONS):
        raise AnswerError(f"{len(answers)} answers to {len(QUESTIONS)} questions")
    found = {name: _json(name, answer) for name, answer in zip(QUESTIONS, answers, strict=False)}
    more = dict(zip(MANAGER_QUESTIONS, answers[len(QUESTIONS) :], strict=False))
    known = {name: _json(name, answer) for name, answer in more.items() if not answer.code and answer.output.strip()}
    last = [_known(one) for one in answers[len(QUESTIONS) + len(more) :]]
    known[SAFE_QUESTION] = next((one for one in last if SAFE in one), {})
    try:
        return _state(
            found, known, {one["pool"]: tuple(sorted(one["namespaces"])) for one in last if "pool" in one}, at
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise AnswerError(f"an answer of the monitors is not what was expected: {error!r}") from error


def _json(name: str, answer: MonAnswer) -> Any:
    if answer.code:
        raise AnswerError(f"'{name}' was answered with error {answer.code}: {answer.status}")
    try:
        return json.loads(answer.output)
    except ValueError as error:
        raise AnswerError(f"the answer to '{name}' is no JSON: {answer.output[:80]!r}") from error


def _known(answer: MonAnswer) -> Any:
    """To a question that not everybody is asked; nothing when there is no answer. One that is an error may hold one."""
    return json.loads(answer.output) if answer.output.startswith("{") else {}


def _state(
    found: Mapping[str, Any], known: Mapping[str, Any], namespaces: Mapping[str, tuple[str, ...]], at: float
) -> CephState:
    """``known`` are answers that need a manager, as far as there are any. A manager that is registered and not available yet
    is none. ``namespaces`` are those of pools that could be looked at."""
    status, monitors, managers, dump = (found[name] for name in ("status", "mon dump", "mgr metadata", "osd dump"))
    rules = {int(rule["rule_id"]): str(rule["rule_name"]) for rule in found["osd crush rule dump"]}
    systems, placed = found["fs dump"], status["pgmap"]
    usage = {int(one["id"]): one for one in known.get("osd df", {"nodes": ()})["nodes"]}
    return CephState(
        fsid=status["fsid"],
        release=monitors.get("min_mon_release_name", ""),
        monitors=tuple(one["name"] for one in monitors["mons"]),
        quorum=tuple(status["quorum_names"]),
        managers=tuple(sorted(one["name"] for one in managers)) if status["mgrmap"]["available"] else (),
        osds=tuple(_osds(dump, found["osd tree"], usage, _safe(known[SAFE_QUESTION]))),
        buckets=tuple(_buckets(found["osd tree"])),
        rules=tuple(sorted(rules.values())),
        pools=tuple(_pool(one, rules, namespaces.get(one["pool_name"])) for one in dump["pools"]),
        filesystems=tuple(_filesystem(one, systems, dump) for one in systems["filesystems"]),
        gateways=tuple(sorted(_gateways(known.get("service dump", {})))),
        metadata_servers=tuple(sorted(_metadata_servers(systems))),
        notes=tuple(sorted((key.removeprefix(NOTES), text) for key, text in found["config-key dump"].items())),
        stretch=bool(monitors.get("stretch_mode") or dump.get("stretch_mode", {}).get("stretch_mode_enabled")),
        tiebreaker=str(monitors.get("tiebreaker_mon", "")),
        halved=any(dump.get("stretch_mode", {}).get(f"{word}_stretch_mode") for word in ("degraded", "recovering")),
        health=status["health"]["status"],
        checks=tuple((code, one["summary"]["message"]) for code, one in sorted(status["health"]["checks"].items())),
        pgs=tuple((one["state_name"], int(one["count"])) for one in placed.get("pgs_by_state", ())),
        degraded=int(placed.get("degraded_objects", 0)),
        misplaced=int(placed.get("misplaced_objects", 0)),
        recovering=float(placed.get("recovering_objects_per_sec", 0)),
        ghosts=tuple(_ghosts(dump, found["osd tree"])),
        **_ratios(dump),
        at=at,
    )


def _ratios(dump: Data) -> dict[str, float]:
    """As somebody has set them (`ceph osd set-nearfull-ratio`); 32 bits of them are kept."""
    kept = {name: dump.get(f"{name}_ratio") for name in ("nearfull", "backfillfull", "full")}
    return {name: round(float(value), 4) for name, value in kept.items() if value}


def _safe(said: Data) -> dict[int, bool]:
    """OSDs that were asked for; all others are named by the reason why they are not safe to go."""
    needed = {int(number): False for name in NEEDED for number in said.get(name, ())}
    return {int(number): True for number in said.get(SAFE, ())} | needed


def _osds(dump: Data, tree: Data, usage: Mapping[int, Data], safe: Mapping[int, bool]) -> Iterator[OsdState]:
    nodes = {int(one["id"]): one for one in (*tree["nodes"], *tree.get("stray", ()))}
    hosts = {child: one["name"] for one in tree["nodes"] if one["type"] == "host" for child in one["children"]}
    stamps = {int(one["osd"]): str(one["down_stamp"]) for one in dump.get("osd_xinfo", ())}
    for one in dump["osds"]:
        number = int(one["osd"])
        node, used = nodes.get(number, {}), usage.get(number)
        yield OsdState(
            number=number,
            uuid=one["uuid"],
            host=hosts.get(number, ""),
            device_class=node.get("device_class", ""),
            up=bool(one["up"]),
            in_=bool(one["in"]),
            weight=float(node.get("crush_weight", 0.0)),
            reweight=float(one["weight"]),
            destroyed="destroyed" in one["state"],
            used=int(used["kb_used"]) * KIB if used else 0,
            size=int(used["kb"]) * KIB if used else 0,
            pgs=int(used["pgs"]) if used else None,
            safe=safe.get(number),
            filling=next((word for word in FILLING if word in one["state"]), ""),
            down_since=_moment(stamps.get(number, "")),
        )


def _moment(stamp: str) -> float:
    """Seconds since the epoch; 0 for what never was (Ceph writes ``0.000000`` then)."""
    return datetime.strptime(stamp, "%Y-%m-%dT%H:%M:%S.%f%z").timestamp() if "T" in stamp else 0.0


def _ghosts(dump: Data, tree: Data) -> Iterator[tuple[int, str]]:
    """What hangs in the tree with a number that no OSD of the map has."""
    there = {int(one["osd"]) for one in dump["osds"]}
    for one in tree["nodes"]:
        if one["type"] == "host":
            yield from ((int(child), one["name"]) for child in one["children"] if 0 <= int(child) not in there)


def _buckets(tree: Data) -> Iterator[BucketState]:
    """Every bucket, parents first; shadows of device classes are not in this answer."""
    buckets = [one for one in tree["nodes"] if int(one["id"]) < 0]
    parents = {child: one["name"] for one in buckets for child in one["children"]}
    for one in buckets:
        yield BucketState(name=one["name"], level=one["type"], parent=parents.get(one["id"], ""))


def _pool(one: Data, rules: Mapping[int, str], namespaces: tuple[str, ...] | None) -> PoolState:
    return PoolState(
        number=int(one["pool"]),
        name=one["pool_name"],
        size=int(one["size"]),
        min_size=int(one["min_size"]),
        rule=rules.get(int(one["crush_rule"]), ""),
        pg_num=int(one.get("pg_num_target", one["pg_num"])),
        applications=tuple(sorted(one["application_metadata"])),
        erasure=one["erasure_code_profile"],
        autoscale=one["pg_autoscale_mode"],
        share=round(float(one["options"].get("target_size_ratio", 0.0)), 6),  # Ceph keeps 32 bits of it
        namespaces=namespaces,
    )


def _filesystem(one: Data, dump: Data, osds: Data) -> FilesystemState:
    """Standbys are those of all file systems: any of them may take over."""
    names = {int(pool["pool"]): pool["pool_name"] for pool in osds["pools"]}
    found = one["mdsmap"]
    return FilesystemState(
        name=found["fs_name"],
        metadata=names.get(int(found["metadata_pool"]), ""),
        data=tuple(names.get(int(number), "") for number in found["data_pools"]),
        active=tuple(mds["name"] for mds in found["info"].values() if mds["state"] == "up:active"),
        standby=len(dump["standbys"]),
    )


def _metadata_servers(dump: Data) -> Iterator[str]:
    yield from (mds["name"] for one in dump["filesystems"] for mds in one["mdsmap"]["info"].values())
    yield from (mds["name"] for mds in dump["standbys"])


def _gateways(dump: Data) -> Iterator[str]:
    """By the id that a gateway was started with (``rgw.n1``), which its entry in the service map carries."""
    daemons = dump.get("services", {}).get("rgw", {}).get("daemons", {})
    for one in daemons.values():
        if isinstance(one, dict):
            yield str(one["metadata"]["id"]).removeprefix("rgw.")
