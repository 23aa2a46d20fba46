"""A world per test, copied from a template: migrating a database takes longer than most tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.unit.engine.world import World


@pytest.fixture
def world(template: Path, tmp_path: Path) -> World:
    shutil.copytree(template, tmp_path / "state")
    return World(tmp_path / "state")
