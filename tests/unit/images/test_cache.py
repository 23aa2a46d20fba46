"""The artefact cache: complete or absent, never damaged, and safe with two builders."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from images.cache import Cache, default_path, key_of
from images.errors import CacheError


def write(name: str, content: bytes):  # type: ignore[no-untyped-def]
    def build(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    return build


def test_builds_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    assert cache.find("kind", "k") is None
    first = cache.make("kind", "k", write("sub/file", b"content"))
    second = cache.make("kind", "k", write("sub/file", b"never built"))
    assert first == second
    assert first.files["sub/file"].path.read_bytes() == b"content"
    assert first.files["sub/file"].size == 7


def test_a_failed_build_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        cache.make("kind", "k", fail)
    assert cache.find("kind", "k") is None
    assert list((tmp_path / "tmp").iterdir()) == []


def damage_size(path: Path) -> None:
    path.write_bytes(b"longer than before")


def damage_content(path: Path) -> None:
    path.write_bytes(b"CONTENT")


def damage_content_and_time(path: Path) -> None:
    facts = path.stat()
    path.write_bytes(b"CONTENT")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def damage_missing(path: Path) -> None:
    path.unlink()


def damage_record(path: Path) -> None:
    (path.parent / "entry.json").write_text("{", encoding="utf-8")


@pytest.mark.parametrize(
    "damage", [damage_size, damage_content, damage_content_and_time, damage_missing, damage_record]
)
def test_a_damaged_entry_is_built_anew(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    cache = Cache(tmp_path)
    damage(cache.make("kind", "k", write("file", b"content")).files["file"].path)
    assert cache.find("kind", "k") is None
    again = cache.make("kind", "k", write("file", b"content"))
    assert again.files["file"].path.read_bytes() == b"content"


def test_a_copied_cache_is_good_after_one_reading(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    entry = cache.make("kind", "k", write("file", b"content"))
    fresh = entry.path / "fresh"
    fresh.write_bytes(b"content")
    fresh.replace(entry.path / "file")
    assert cache.find("kind", "k") is not None
    stamp = json.loads((entry.path / "verified.json").read_text(encoding="utf-8"))
    assert stamp["file"][0] == (entry.path / "file").stat().st_ino


def _slow_builder(path: Path, ran: Path) -> None:
    def build(folder: Path) -> None:
        with ran.open("a", encoding="utf-8") as file:
            file.write("built\n")
        time.sleep(0.3)
        (folder / "file").write_bytes(b"content")

    Cache(path).make("kind", "k", build)


def test_two_builders_build_once(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_slow_builder, args=(tmp_path / "cache", ran)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(20)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert ran.read_text(encoding="utf-8") == "built\n"


def _endless_builder(path: Path, started: Path) -> None:
    def build(folder: Path) -> None:
        (folder / "half").write_bytes(b"x" * 1000)
        started.touch()
        time.sleep(60)

    Cache(path).make("kind", "k", build)


def test_what_a_killed_builder_left_is_swept(tmp_path: Path) -> None:
    path, started = tmp_path / "cache", tmp_path / "started"
    worker = multiprocessing.get_context("fork").Process(target=_endless_builder, args=(path, started))
    worker.start()
    for _ in range(200):
        if started.exists():
            break
        time.sleep(0.05)
    assert len(list((path / "tmp").iterdir())) == 1
    Cache(path)
    assert len(list((path / "tmp").iterdir())) == 1, "a living builder keeps its folder"
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    worker.join(10)
    cache = Cache(path)
    assert list((path / "tmp").iterdir()) == []
    assert cache.make("kind", "k", write("file", b"content")).files["file"].size == 7


def test_a_cache_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CacheError, match="set RACKSEED_CACHE"):
        Cache(tmp_path / "file" / "cache")


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RACKSEED_CACHE", str(tmp_path / "x"))
    assert default_path() == tmp_path / "x"
    monkeypatch.delenv("RACKSEED_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "y"))
    assert default_path() == tmp_path / "y" / "rackseed"


def test_keys_do_not_run_together() -> None:
    assert key_of("ab", "c") != key_of("a", "bc")
    assert key_of(b"ab", b"c") != key_of(b"a", b"bc")
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
