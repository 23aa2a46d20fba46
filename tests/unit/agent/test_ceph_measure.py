"""Measuring a pool: bounded in time and space, on other hosts' objects, with nothing left behind."""

from __future__ import annotations

import errno
import itertools
import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from agent.act import cephmeasure, cephtalk
from agent.cephorder import CephAction, CephOrder, MeasureOrder
from agent.errors import CephAnswerError, CephError, OrderRefusedError
from agent.wire import decode, encode
from tests.unit.agent.ceph_bare import FSID
from tests.unit.agent.test_ceph_proof import errand

ORDER = MeasureOrder(pools=("vms", "objects"), host="h1")


class Pool:
    """Objects in memory. ``fails`` says which call ends with which error number; completions come from another thread."""

    def __init__(self, fails: Mapping[str, int]) -> None:
        self.objects: dict[str, bytes] = {}
        self.fails, self.calls, self.spaces = fails, list[tuple[str, str]](), list[str]()
        self.busy, self.most, self.lock = 0, 0, threading.Lock()

    def set_namespace(self, name: str) -> None:
        self.spaces.append(name)

    def _end(self, word: str, name: str, code: int, over: Callable[..., None], *data: object) -> None:
        code = self.fails.get(word, code)
        with self.lock:
            self.calls.append((word, name))
            self.busy += 1
            self.most = max(self.most, self.busy)

        def later() -> None:
            with self.lock:
                self.busy -= 1
            over(type("Completion", (), {"get_return_value": lambda _self: code})(), *data)

        threading.Timer(0.001, later).start()

    def aio_write_full(self, name: str, data: bytes, over: Callable[..., None]) -> None:
        self.objects[name] = data
        self._end("write", name, 0, over)

    def aio_read(self, name: str, size: int, offset: int, over: Callable[..., None]) -> None:
        found = self.objects.get(name)
        self._end("read", name, -errno.ENOENT if found is None else len(found), over, found)

    def aio_remove(self, name: str, over: Callable[..., None]) -> None:
        there = self.objects.pop(name, None)
        self._end("remove", name, 0 if there is not None else -errno.ENOENT, over)


class Cluster:
    """``local`` are OSDs of the client's host; object N has its first copy on osd N modulo 4."""

    def __init__(self, local: list[int], **fails: int) -> None:
        self.local, self.pool = local, Pool(fails)

    def open_ioctx(self, name: str) -> Pool:
        assert name == "vms"
        return self.pool

    def mon_command(self, command: str, payload: bytes, timeout: int) -> tuple[int, bytes, str]:
        said = json.loads(command)
        if said["prefix"] == "osd ls-tree":
            return (0, json.dumps(self.local).encode(), "") if self.local else (-errno.ENOENT, b"", "no such bucket")
        assert (said["prefix"], said["nspace"]) == ("osd map", cephmeasure.NAMESPACE)
        return 0, json.dumps({"acting_primary": int(said["object"].rpartition("-")[2]) % 4}).encode(), ""


def task(**changes: Any) -> dict[str, Any]:
    wanted = replace(ORDER, seconds=1.0, size=1024, objects=8, depth=3)
    return {**cephmeasure._task("vms", wanted), **changes}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Cluster:
    """A clock goes on by a hundredth of a second with every look at it, however slow the computer is."""
    made = Cluster(**{"local": [0], **getattr(request, "param", {})})
    monkeypatch.setattr(cephtalk, "connect", lambda _task: made)
    ticks = itertools.count()
    monkeypatch.setattr(cephtalk, "time", SimpleNamespace(monotonic=lambda: next(ticks) / 100))
    return made


def test_only_objects_of_other_hosts_are_used_and_none_is_left(cluster: Cluster) -> None:
    left = {f"{cephmeasure.NAMESPACE}-7": b"of an earlier one"}
    cluster.pool.objects.update(left)
    found = cephtalk.measure(task())
    names = {name for word, name in cluster.pool.calls if word in {"write", "read"}}
    assert names == {f"{cephmeasure.NAMESPACE}-{n}" for n in (1, 2, 3, 5, 6, 7)}
    assert cluster.pool.objects == {}
    assert cluster.pool.spaces == [cephmeasure.NAMESPACE]
    assert cluster.pool.most <= 3
    first = [word for word, _ in cluster.pool.calls]
    assert first[:8] == ["remove"] * 8, "what an interrupted one left goes first"
    assert found["objects"] == 6
    assert found["read"]["bytes"] == 6 * 1024, "each is read once"
    assert found["write"]["bytes"] == 1024 * first.count("write") > 6 * 1024, "written again until the time is over"
    assert found["write"]["seconds"] > 0


@pytest.mark.parametrize("cluster", [{"local": [0, 1, 2, 3]}, {"local": []}], indirect=True)
def test_the_only_host_uses_all(cluster: Cluster) -> None:
    assert cephtalk.measure(task())["objects"] == 8


@pytest.mark.parametrize("cluster", [{"write": -errno.ENOSPC}, {"read": -errno.ETIMEDOUT}], indirect=True)
def test_an_error_ends_it_and_still_nothing_is_left(cluster: Cluster) -> None:
    with pytest.raises(OSError) as caught:
        cephtalk.measure(task())
    assert caught.value.errno in {errno.ENOSPC, errno.ETIMEDOUT}
    assert cluster.pool.objects == {}


def test_only_what_was_written_is_read(cluster: Cluster) -> None:
    """A time so short that not all objects come to be."""
    found = cephtalk.measure(task(seconds=0.0))
    assert (found["objects"], found["write"]["bytes"], found["read"]["bytes"]) == (1, 1024, 1024)
    assert found["write"]["seconds"] > 0 < found["read"]["seconds"]


# ---------------------------------------------------------------- the order


def measured(monkeypatch: pytest.MonkeyPatch, wanted: MeasureOrder | None, fail: str = "") -> Any:
    def talk(said: Mapping[str, Any], *, timeout: float) -> dict[str, Any]:
        if said["pool"] == fail:
            raise CephError("the cluster does not answer")
        assert timeout > 2 * said["seconds"]
        return {"objects": 3, "write": {"bytes": 1, "seconds": 2.0}, "read": {"bytes": 3, "seconds": 4.0}}

    monkeypatch.setattr(cephmeasure.commands, "talk", talk)
    order = CephOrder(action=CephAction.MEASURE, fsid=FSID, measure=wanted)
    assert decode(CephOrder, encode(order)) == order
    return cephmeasure.measure(replace(errand(), order=order))


def test_one_answer_for_each_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    message, answers = measured(monkeypatch, ORDER)
    assert message == "2 pools were measured"
    assert [json.loads(answer.output)["pool"] for answer in answers] == ["vms", "objects"]
    assert json.loads(answers[0].output)["write"] == {"bytes": 1, "seconds": 2.0}


def test_what_was_measured_before_a_failure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CephAnswerError, match="pool objects can't be measured") as caught:
        measured(monkeypatch, ORDER, fail="objects")
    assert [json.loads(answer.output)["pool"] for answer in caught.value.answers] == ["vms"]


@pytest.mark.parametrize(
    "wanted",
    [
        None,
        replace(ORDER, pools=()),
        replace(ORDER, seconds=0.0),
        replace(ORDER, seconds=3600.0),
        replace(ORDER, objects=1 << 20),
        replace(ORDER, depth=0),
    ],
)
def test_an_order_without_bounds_is_refused(monkeypatch: pytest.MonkeyPatch, wanted: MeasureOrder | None) -> None:
    with pytest.raises(OrderRefusedError):
        measured(monkeypatch, wanted)
