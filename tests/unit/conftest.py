"""What tests of several folders start from."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of an appliance, for copies: migrating a database takes longer than most tests."""
    from tests.unit.engine.world import World  # noqa: PLC0415 - most tests need none

    folder = tmp_path_factory.mktemp("template") / "state"
    World(folder).app.close()
    return folder
