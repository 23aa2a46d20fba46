"""Labs for tests of Ceph: real daemons in namespaces."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.cache import Cache
from images.cephroot import ceph_root
from images.errors import ImageBuildError


@pytest.fixture(scope="session")
def ceph_image() -> Path:
    """The root that hosts of labs run from (built on first use, some minutes); skips when it can't be had."""
    if os.geteuid() != 0:
        pytest.skip("needs root for namespaces and loop devices")
    try:
        return ceph_root(Cache()).image
    except ImageBuildError as error:
        pytest.skip(f"the root with Ceph can't be had: {error}")
