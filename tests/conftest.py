"""Fixtures and options that every lane shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from images.cache import Cache
from images.cephtools import ceph_tools
from images.errors import ImageBuildError
from tests.oracle.crush import Oracle

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files anew instead of comparing")


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real data (RACKSEED_CORPUS, or ../shared/data beside the checkout); skips when it is absent."""
    folder = Path(os.environ.get("RACKSEED_CORPUS", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the corpus is absent: {folder} (set RACKSEED_CORPUS)")
    return folder


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    """Ceph's tools as a judge of layouts; fetched on first use (workers wait for each other), skips when that fails."""
    try:
        return Oracle(tools=ceph_tools(Cache()))
    except ImageBuildError as error:
        pytest.skip(f"Ceph's tools can't be had: {error}")


class Golden:
    """Compares text with a file under tests/golden, or writes it with --update-golden."""

    def __init__(self, update: bool) -> None:
        self.update = update

    def check(self, name: str, text: str) -> None:
        """``name`` is a path below tests/golden."""
        path = ROOT / "tests" / "golden" / name
        if self.update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.exists(), f"{path} is missing: run pytest with --update-golden and review it"
        assert path.read_text(encoding="utf-8") == text, f"differs from {path}"


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(bool(request.config.getoption("--update-golden")))
