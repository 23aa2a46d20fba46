"""`rackseed image`: builds what machines boot and install from into the cache, and makes it known to the appliance."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from appliance.cli.errors import CommandError, NotRunning, UserError
from appliance.cli.options import connected, format_option, print_json, print_table, state_option

if TYPE_CHECKING:
    from appliance.cli.client import Client
    from appliance.serve.cached import CachedArtefact
    from images.cache import Cache
    from images.progress import Progress

WHAT = ("boot", "agent", "root")

cache_option = click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RACKSEED_CACHE",
    help="Where built images are kept.",
)


@click.group()
def image() -> None:
    """Build agent image, root images and boot files into the cache."""


def _builder(name: str, about: str) -> None:
    @image.command(name, help=about)
    @cache_option
    @click.option("--os", "system", default="debian-13", show_default=True, help="Operating system of the root image.")
    @state_option
    @format_option
    def build(cache: Path | None, system: str, state: Path, form: str) -> None:
        _build(WHAT if name == "all" else (name,), cache, system, state, form)


_builder("boot", "Fetch boot loaders (iPXE) from Debian packages.")
_builder("agent", "Build kernel and initrd that machines boot to be inspected and installed.")
_builder("root", "Build the root image that is written to the system disk (needs root).")
_builder("all", "Build all three.")


@image.command("list")
@connected
def list_images(client: Client, form: str) -> None:
    """What machines can fetch from the running appliance."""
    items = client.every("/artefacts", "artefacts")
    if form == "json":
        print_json({"artefacts": items})
        return
    print_table(
        ("kind", "name", "size", "current", "added", "sha256"),
        [
            (
                item["kind"],
                item["name"],
                size_text(item["size"]),
                "yes" if item["current"] else "",
                item["added"] or "",
                item["sha256"][:16],
            )
            for item in items
        ],
    )


def size_text(size: int) -> str:
    """Bytes for people: ``40.2 MB``."""
    amount = float(size)
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError("unreachable")


def _build(what: tuple[str, ...], folder: Path | None, system: str, state: Path, form: str) -> None:
    from appliance.serve import cached  # noqa: PLC0415 - start-up time
    from images.cache import Cache  # noqa: PLC0415
    from images.errors import ImageBuildError  # noqa: PLC0415

    built: list[CachedArtefact] = []
    try:
        cache = Cache(folder)
        for name in what:
            with _progress(name, form) as progress:
                made = _builders(system)[name](cache, progress)
            cached.remember(cache, made)
            built += made
    except ImageBuildError as error:
        raise CommandError(str(error)) from error
    _announce(built, state, form)


def _builders(system: str) -> dict[str, Callable[[Cache, Progress], tuple[CachedArtefact, ...]]]:
    from appliance.serve import cached  # noqa: PLC0415 - start-up time
    from appliance.site.load import operating_systems  # noqa: PLC0415
    from images import agent, boot, root  # noqa: PLC0415

    if system not in operating_systems():
        raise UserError(f"--os {system}: known operating systems are {', '.join(operating_systems())}")
    return {
        "boot": lambda cache, progress: cached.of_boot(boot.fetch(cache, progress)),
        "agent": lambda cache, progress: cached.of_agent(agent.build(cache, progress)),
        "root": lambda cache, progress: cached.of_root(root.build(cache, system, progress)),
    }


def _announce(built: list[CachedArtefact], state: Path, form: str) -> None:
    """Tell a running appliance at once; one that starts later reads the cache by itself."""
    from dataclasses import asdict  # noqa: PLC0415 - start-up time

    from appliance.cli.client import Client, Place  # noqa: PLC0415

    client = Client(Place(socket=state / "run" / "api.sock"))
    with contextlib.suppress(NotRunning):
        for item in built:
            client.post("/artefacts", asdict(item))
    if form == "json":
        print_json({"built": [asdict(item) for item in built]})
        return
    print_table(
        ("kind", "name", "size", "sha256", "file"),
        [(item.kind, item.name, size_text(item.size), item.sha256[:16], item.path) for item in built],
    )


@contextlib.contextmanager
def _progress(what: str, form: str) -> Iterator[Progress]:
    """A bar on a terminal, a line per stage elsewhere, nothing with --format json."""
    if form == "json":
        yield lambda _stage, _fraction: None
    elif sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        with _bar(what) as progress:
            yield progress
    else:
        yield _lines(what)


@contextlib.contextmanager
def _bar(what: str) -> Iterator[Progress]:
    from rich.console import Console  # noqa: PLC0415 - only where it is drawn
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=1.0)
        yield lambda stage, fraction: bar.update(task, description=f"{what}: {stage}", completed=fraction)
        bar.update(task, description=f"{what}: done", completed=1.0)


def _lines(what: str) -> Progress:
    begin = time.monotonic()
    last = ""

    def progress(stage: str, _fraction: float) -> None:
        nonlocal last
        if stage != last:
            last = stage
            click.echo(f"{what}: {stage} ({time.monotonic() - begin:.0f} s)", err=True)

    return progress
