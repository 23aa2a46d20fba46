"""Racks of real (virtual) machines, and the ledger of what they cost."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from appliance.rehearsal.cephscenario import SYSTEM
from appliance.rehearsal.demo import stage
from appliance.rehearsal.description import RackDescription
from appliance.rehearsal.lab import build_images, build_root
from appliance.rehearsal.prerequisites import missing
from appliance.rehearsal.session import Session
from images.cache import default_path

LEDGER = "rack"
"""Property of a test's report: scenario, wall seconds, processor seconds of machines and appliance, machines that were tried
again. Reports come back from the workers of xdist, too."""
BUDGET_CPU_SECONDS = 2800.0

Stage = Callable[..., AbstractContextManager[Session]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder needs a computer that can run a rack; what needs one for itself comes last."""
    items.sort(key=lambda item: item.get_closest_marker("alone") is not None)
    reasons = missing()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vm)
            if reasons:
                item.add_marker(pytest.mark.skip(reason="; ".join(reasons)))


@pytest.fixture(scope="session")
def cache() -> Path:
    """The artefact cache, with every image in it."""
    path = default_path()
    build_images(path)
    return path


@pytest.fixture
def ceph_image(cache: Path) -> None:
    """The root image with Ceph, beside those that every scenario needs."""
    build_root(cache, SYSTEM)


@pytest.fixture
def folders() -> Path:
    """Where racks are."""
    return Path(os.environ.get("RACKSEED_VM_FOLDER", "/var/tmp/rackseed-vm"))


@pytest.fixture
def turn(folders: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Scenarios in several processes share the computer; one that is marked ``alone`` waits until it has it for itself."""
    folders.mkdir(parents=True, exist_ok=True)
    with (folders / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH)
        yield


@pytest.fixture
def on_stage(cache: Path, folders: Path, turn: None, request: pytest.FixtureRequest) -> Iterator[Stage]:
    """``with on_stage(description, by_rule=…) as session``: a rack whose folder is kept when the test fails."""
    folder = folders / request.node.name

    @contextmanager
    def make(description: RackDescription, *, by_rule: tuple[str, ...] = (), more: str = "") -> Iterator[Session]:
        with stage(folder, description, cache=cache, by_rule=by_rule, more=more) as session:
            try:
                yield session
            finally:
                spent = sum(session.rack.cpu_seconds().values()) + session.appliance.cpu_seconds()
                row = (request.node.name, session.rack.elapsed(), spent, ", ".join(session.rack.panics))
                request.node.user_properties.append((LEDGER, row))

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    failed = request.session.testsfailed
    yield make
    shutil.rmtree(folder / "machines", ignore_errors=True)  # gigabytes; the logs stay
    if request.session.testsfailed == failed:
        shutil.rmtree(folder / "state", ignore_errors=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The ledger: what each scenario cost."""
    reports = [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]
    calls = [report for report in reports if report.when == "call"]
    ledger = [row for report in calls for name, row in report.user_properties if name == LEDGER]
    if not ledger:
        return
    terminalreporter.section("virtual machines: what they cost")
    for name, wall, spent, again in ledger:
        note = f"  tried again after a panic of QEMU's emulation: {again}" if again else ""
        terminalreporter.write_line(f"{name:60} {wall:7.0f} s wall {spent:7.0f} CPU s{note}")
    total = sum(spent for _, _, spent, _ in ledger)
    terminalreporter.write_line(f"{'in all':60} {sum(row[1] for row in ledger):7.0f} s wall {total:7.0f} CPU s")
    if total > BUDGET_CPU_SECONDS:
        terminalreporter.write_line(f"more than the budget of {BUDGET_CPU_SECONDS:.0f} CPU s", red=True)
