"""RBD namespaces on a machine: made through librbd, and a key that opens too much is found out."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from agent.act import cephcommands, cephfiles, cephmonitors, cephnamespaces, cephtalk
from agent.errors import CephError
from agent.wire import CephAction, CephOrder, MonAnswer, MonCommand, RbdNamespace
from tests.unit.agent.ceph_bare import FSID, KEY, perform

EPERM = "rbd: listing images failed: (1) Operation not permitted"
MINE = RbdNamespace(pool="vms", name="a", entity="client.ceph-vms.a", secret="ceph/a")
OTHER = RbdNamespace(pool="vms", name="b")


class Rbd:
    """The program ``rbd``: images by their whole name; a key opens what ``opens`` says."""

    def __init__(self, opens: tuple[str, ...]) -> None:
        self.opens = opens
        self.images: dict[str, bytes] = {}
        self.said: list[str] = []

    def __call__(self, argv: Sequence[str], *, check: bool = True, timeout: float = 0.0) -> Any:
        assert list(argv[:3]) == ["rbd", "--id", "ceph-vms.a"]
        assert KEY in Path(argv[4]).read_text("ascii")
        verb, words = argv[5], [word for word in argv[6:] if not word.startswith("--")]
        where = words[-2] if verb == "export" else words[-1]
        place = where if verb == "ls" else where.rpartition("/")[0]
        self.said.append(f"{verb} {place}")
        if place not in self.opens:
            return SimpleNamespace(code=1, stdout="", stderr=EPERM)
        if verb == "import":
            self.images[where] = Path(words[-2]).read_bytes()
        elif verb == "export":
            Path(words[-1]).write_bytes(self.images[where])
        elif verb == "create":
            self.images[where] = b""
        elif verb == "rm":
            del self.images[where]
        return SimpleNamespace(code=0, stdout="", stderr="")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    @contextmanager
    def scratch() -> Iterator[Path]:
        yield tmp_path

    def run(opens: tuple[str, ...]) -> tuple[Rbd, str]:
        rbd = Rbd(opens)
        admin = tmp_path / "admin"
        admin.write_text("")
        monkeypatch.setattr(cephfiles, "ADMIN", admin)
        monkeypatch.setattr(cephfiles, "need_programs", lambda names: None)
        monkeypatch.setattr(cephmonitors, "scratch", scratch)
        monkeypatch.setattr(cephnamespaces, "run", rbd)
        order = CephOrder(action=CephAction.CHECK, fsid=FSID, check="vms", service="block", namespaces=(MINE, OTHER))
        return rbd, perform(order, {"ceph/a": KEY}.__getitem__)[0]

    return run


def test_used_with_its_own_key_and_refused_elsewhere(checked: Any) -> None:
    rbd, said = checked(("vms/a",))
    assert said == ("RBD namespaces vms/a: 4 MiB written, read back and equal with their own keys; refused elsewhere")
    assert rbd.said[:3] == ["import vms/a", "export vms/a", "rm vms/a"]
    assert rbd.said[3:] == ["ls vms", "create vms", "ls vms/b", "create vms/b"]
    assert rbd.images == {}


@pytest.mark.parametrize("opened", ["vms", "vms/b"])
def test_a_key_that_opens_more_is_found_out(checked: Any, opened: str) -> None:
    with pytest.raises(CephError, match=f"namespace vms/a used in {opened} .rbd ls. was not refused"):
        checked(("vms/a", opened))


# ---------------------------------------------------------------- through librbd


class Librbd(ModuleType):
    """As much of the bindings as is used."""

    def __init__(self, there: dict[str, list[str]]) -> None:
        super().__init__("rbd")
        self.there = there

    def RBD(self) -> Librbd:  # noqa: N802 - the bindings' name
        return self

    def namespace_list(self, place: str) -> list[str]:
        return self.there[place]

    def namespace_create(self, place: str, name: str) -> None:
        assert name not in self.there[place]
        self.there[place].append(name)


class Cluster:
    def __init__(self, there: dict[str, list[str]]) -> None:
        self.there = there

    @contextmanager
    def open_ioctx(self, pool: str) -> Iterator[str]:
        if pool not in self.there:
            raise OSError(2, f"no pool {pool}")
        yield pool


def test_namespaces_are_looked_at_and_made_where_they_are_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"vms": ["b"]}
    monkeypatch.setitem(sys.modules, "rbd", Librbd(there))
    monkeypatch.setattr(cephtalk, "connect", lambda task, seconds=0: Cluster(there))
    task = {"wanted": [("vms", "b"), ("vms", "a")]}
    assert cephtalk.make_namespaces(task) == {"made": ["vms/a"]}
    assert cephtalk.make_namespaces(task) == {"made": []}
    said = cephtalk.commands({"commands": [{"pool": "vms"}, {"pool": "gone"}]})
    assert [(one["code"], one["output"]) for one in said["answers"]] == [
        (0, '{"pool": "vms", "namespaces": ["a", "b"]}'),
        (2, ""),
    ], "a pool that is gone ends nothing"


def test_a_look_that_failed_is_no_failed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [MonAnswer(code=0, output="{}"), MonAnswer(code=110, status="timed out")]
    monkeypatch.setattr(cephcommands, "send", lambda commands: answers)
    asked = [
        MonCommand(command='{"prefix": "status"}'),
        MonCommand(command='{"prefix": "rbd namespace ls"}', pool="vms"),
    ]
    assert cephcommands.ask(asked, lambda name: "") == tuple(answers)
