"""Images are reproducible: built a second time, in another cache, from the same packages, they have the same hash."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from images import agent, agentbase, root
from images.cache import Cache
from images.recipe import os_names

pytestmark = pytest.mark.nightly


@pytest.fixture
def first() -> Cache:
    """The cache of everybody, with all images built."""
    cache = Cache()
    agent.build(cache)
    if os.geteuid() == 0:
        for name in os_names():
            root.build(cache, name)
    return cache


@pytest.fixture
def second(first: Cache) -> Iterator[Cache]:
    """An empty cache beside the first (links do not cross filesystems) with only the packages and their locks."""
    folder = first.path.with_name(f"{first.path.name}-again-{os.getpid()}")
    try:
        shutil.copytree(first.path / "locks", folder / "locks")
        shutil.copytree(first.path / "debs", folder / "debs", copy_function=os.link)
        yield Cache(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listing(path: Path) -> str:
    return f"{path} ({path.stat().st_size} bytes)"


def test_agent_image_twice(first: Cache, second: Cache) -> None:
    once, again = agent.build(first), agent.build(second)
    assert again.initrd != once.initrd
    assert again.kernel_sha256 == once.kernel_sha256
    assert again.initrd_sha256 == once.initrd_sha256, f"compare {listing(once.initrd)} and {listing(again.initrd)}"
    assert agentbase.build_base(second).key == agentbase.build_base(first).key


@pytest.mark.skipif(os.geteuid() != 0, reason="mmdebstrap needs root")
@pytest.mark.parametrize("name", os_names())
def test_root_image_twice(first: Cache, second: Cache, name: str) -> None:
    once, again = root.build(first, name), root.build(second, name)
    assert again.path != once.path
    assert again.manifest == once.manifest
