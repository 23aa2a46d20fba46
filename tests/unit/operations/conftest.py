"""A whole appliance on a temporary folder and a clock that stands still."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from appliance.effects.clock import FakeClock
from appliance.model.settings import Settings
from appliance.operations.context import Appliance
from tests.unit.operations.lab import Box, hardware


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with keys and a migrated database, made once: that is the slow part."""
    folder = tmp_path_factory.mktemp("keys")
    settings = Settings(state=folder, cache=folder / "cache", address=IPv4Address("10.20.0.1"))
    Appliance.open(settings, FakeClock()).close()
    return folder


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def app(keys: Path, tmp_path: Path, clock: FakeClock) -> Iterator[Appliance]:
    state = tmp_path / "state"
    shutil.copytree(keys, state)
    settings = Settings(state=state, cache=tmp_path / "cache", address=IPv4Address("10.20.0.1"))
    appliance = Appliance.open(settings, clock)
    yield appliance
    appliance.close()


@pytest.fixture
def box(app: Appliance, clock: FakeClock) -> Callable[..., Box]:
    """Makes machines, each a second after the other."""

    def make(number: int, **changes: object) -> Box:
        clock.advance(1.0)
        return Box(app=app, inventory=hardware(number, **changes))  # type: ignore[arg-type]

    return make
