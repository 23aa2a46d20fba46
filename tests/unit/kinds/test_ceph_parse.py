"""Answers of a real Ceph 18.2.7 (our own lab of four hosts with two OSDs each), read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.cephorder import MonAnswer
from appliance.kinds import ceph as kind
from appliance.kinds.ceph import AnswerError
from appliance.kinds.ceph.questions import MANAGER_QUESTIONS, QUESTIONS
from appliance.model.cephstate import BucketState, CephState
from tests.conftest import Golden

ANSWERS = Path(__file__).resolve().parents[2] / "golden" / "kinds" / "answers"
RECORDED = sorted(path.stem for path in ANSWERS.glob("*.json"))


def recorded(name: str) -> list[MonAnswer]:
    """Repeated things have fewer fields than Ceph said; no value was changed."""
    found = json.loads((ANSWERS / f"{name}.json").read_text(encoding="utf-8"))
    assert [one["question"] for one in found] == [*QUESTIONS, *MANAGER_QUESTIONS][: len(found)]
    return [MonAnswer(code=one["code"], output=json.dumps(one["output"]), status=one["status"]) for one in found]


def text(state: CephState) -> str:
    lines = [f"{state.fsid} {state.release} {state.health} stretch={state.stretch} clean={state.clean}"]
    names = ("monitors", "quorum", "managers", "metadata_servers", "gateways", "rules")
    lines += [f"{name}: {' '.join(getattr(state, name))}" for name in names]
    lines += [f"bucket {one.level} {one.name} below {one.parent or 'nothing'}" for one in state.buckets]
    for osd in state.osds:
        where = f"{osd.device_class or '(no class)'} on {osd.host or '(no host)'}"
        words = [word for word in ("up", "destroyed") if getattr(osd, word)] + (["in"] if osd.in_ else [])
        usage = f"{osd.used} of {osd.size}, {osd.pgs} PGs"
        lines.append(
            f"osd.{osd.number} {osd.uuid} {where} {osd.weight:.5f} x {osd.reweight} {' '.join(words)}; {usage}"
        )
    for pool in state.pools:
        lines.append(
            f"pool {pool.number} {pool.name} {pool.size}/{pool.min_size} {pool.rule} {pool.pg_num} {pool.autoscale} "
            f"{pool.share} {' '.join(pool.applications)} {pool.erasure}".rstrip()
        )
    for one in state.filesystems:
        lines.append(f"fs {one.name} {one.metadata} {one.data} active {one.active} standby {one.standby}")
    lines += [f"note {name} {value}" for name, value in state.notes]
    lines += [f"check {code}: {words}" for code, words in state.checks]
    lines += [f"pgs {name} {count}" for name, count in state.pgs]
    lines.append(f"degraded {state.degraded} misplaced {state.misplaced}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("said", "safe"),
    [
        ({"safe_to_destroy": [1], "active": [], "missing_stats": [], "stored_pgs": []}, True),
        ({"safe_to_destroy": [0], "active": [1], "missing_stats": [], "stored_pgs": []}, False),
        ({"safe_to_destroy": [], "active": [], "missing_stats": [1], "stored_pgs": []}, False),
        ({"safe_to_destroy": [], "active": [], "missing_stats": [], "stored_pgs": [1]}, False),
        (None, None),
    ],
)
def test_what_may_go_is_what_ceph_says(said: dict[str, list[int]] | None, safe: bool | None) -> None:
    """The answer is an error number while something is needed; without states of all PGs there is no answer."""
    answers = recorded("formed")
    state = kind.parse(answers, 7.0)
    out = replace(state, osds=tuple(replace(osd, in_=osd.number > 1) for osd in state.osds))
    asked = kind.questions(out)[-1]
    assert json.loads(asked.command) == {"prefix": "osd safe-to-destroy", "ids": ["0", "1"], "format": "json"}
    assert asked.manager and asked.may_fail == (11, 16)
    answer = MonAnswer(code=0 if safe else 16, output="" if said is None else json.dumps(said))
    found = {osd.number: osd.safe for osd in kind.parse([*answers, answer], 7.0).osds}
    assert (found[1], found[2]) == (safe, None)


def test_when_an_osd_went_down() -> None:
    answers = recorded("formed")
    at = list(QUESTIONS).index("osd dump")
    dump = json.loads(answers[at].output)
    stamps = {0: "0.000000", 1: "2026-11-26T01:02:03.500000+0000"}
    dump["osd_xinfo"] = [{"osd": number, "down_stamp": stamp, "dead_epoch": 0} for number, stamp in stamps.items()]
    answers[at] = replace(answers[at], output=json.dumps(dump))
    since = {osd.number: osd.down_since for osd in kind.parse(answers, 7.0).osds}
    assert (since[0], since[1], since[2]) == (0.0, 1795654923.5, 0.0)


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_answers(name: str, golden: Golden) -> None:
    golden.check(f"kinds/answers/{name}.txt", text(kind.parse(recorded(name), 7.0)))


def test_there_are_recorded_answers() -> None:
    assert "formed" in RECORDED


def test_without_a_manager_usage_and_gateways_are_not_known() -> None:
    whole = kind.parse(recorded("formed"), 7.0)
    state = kind.parse(recorded("formed")[: len(QUESTIONS)], 7.0)
    assert whole.gateways and not state.gateways
    assert all(osd.pgs is None and osd.size == 0 for osd in state.osds)
    assert replace(state, osds=whole.osds, gateways=whole.gateways) == whole


def test_a_manager_that_does_not_answer_is_no_error() -> None:
    answers = recorded("formed")
    answers[-1] = MonAnswer(code=110, status="timed out")
    assert all(osd.pgs is None for osd in kind.parse(answers, 7.0).osds)


def test_questions_go_to_the_manager_only_when_there_is_one() -> None:
    state = kind.parse(recorded("formed"), 7.0)
    assert len(kind.questions()) == len(kind.questions(replace(state, managers=()))) == len(QUESTIONS)
    asked = kind.questions(state)
    assert asked == (*kind.questions(), *kind.manager_questions())
    assert [one.manager for one in asked].count(True) == 1
    assert all(not one.payload and not one.secret for one in asked)


def test_a_manager_that_is_not_available_yet_is_none() -> None:
    answers = recorded("formed")
    said = json.loads(answers[0].output)
    said["mgrmap"]["available"] = False
    answers[0] = replace(answers[0], output=json.dumps(said))
    assert kind.parse(answers, 7.0).managers == ()


def test_shadows_of_classes_are_no_buckets() -> None:
    state = kind.parse(recorded("formed"), 7.0)
    assert BucketState(name="default", level="root", parent="") in state.buckets
    assert not [one for one in state.buckets if "~" in one.name]


def test_room_is_what_the_monitors_say() -> None:
    answers = recorded("formed")
    said = json.loads(answers[3].output)
    state = kind.parse(answers, 7.0)
    assert (state.nearfull, state.backfillfull, state.full) == (0.85, 0.9, 0.95)
    assert {osd.filling for osd in state.osds} == {""}
    said["nearfull_ratio"] = 0.75
    said["osds"][0]["state"] = ["backfillfull", "exists", "nearfull", "up"]
    answers[3] = replace(answers[3], output=json.dumps(said))
    state = kind.parse(answers, 7.0)
    assert (state.nearfull, state.osds[0].filling) == (0.75, "backfillfull")


def test_what_hangs_in_the_tree_without_being_in_the_map() -> None:
    answers = recorded("formed")
    assert kind.parse(answers, 7.0).ghosts == ()
    said = json.loads(answers[4].output)
    host = next(one for one in said["nodes"] if one["type"] == "host")
    host["children"].append(77)
    answers[4] = replace(answers[4], output=json.dumps(said))
    assert kind.parse(answers, 7.0).ghosts == ((77, host["name"]),)


def test_namespaces_follow_the_manager_and_may_be_missing() -> None:
    answers = recorded("formed")
    pool = kind.parse(answers, 7.0).pools[-1].name
    listed = MonAnswer(code=0, output=json.dumps({"pool": pool, "namespaces": ["b", "a"]}))
    found = {one.name: one.namespaces for one in kind.parse([*answers, listed], 7.0).pools}
    assert found[pool] == ("a", "b") and set(found.values()) == {None, ("a", "b")}
    silent = MonAnswer(code=110, status="timed out")
    assert {one.namespaces for one in kind.parse([*answers, silent], 7.0).pools} == {None}


def _error(answers: list[MonAnswer]) -> None:
    answers[2] = MonAnswer(code=13, status="access denied")


def _no_json(answers: list[MonAnswer]) -> None:
    answers[0] = replace(answers[0], output="HEALTH_OK")


def _too_few(answers: list[MonAnswer]) -> None:
    del answers[3:]


def _other(answers: list[MonAnswer]) -> None:
    answers[3] = replace(answers[3], output='{"osds": 3}')


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_error, "'mgr metadata' was answered with error 13: access denied"),
        (_no_json, "the answer to 'status' is no JSON: 'HEALTH_OK'"),
        (_too_few, "3 answers to 8 questions"),
        (_other, "not what was expected"),
    ],
)
def test_what_can_not_be_read_is_named(spoil: Callable[[list[MonAnswer]], None], words: str) -> None:
    answers = recorded("formed")
    spoil(answers)
    with pytest.raises(AnswerError, match=words.replace("(", r"\(")):
        kind.parse(answers, 7.0)


def test_nothing_else_is_raised_for_any_json() -> None:
    """Whatever one answer is, it is read or named."""
    whole: list[Any] = [None, [], {}, 3, "x", [1], {"nodes": [1]}]
    for index in range(len(QUESTIONS)):
        for odd in whole:
            answers = recorded("formed")
            answers[index] = replace(answers[index], output=json.dumps(odd))
            try:
                kind.parse(answers, 7.0)
            except AnswerError:
                continue
