"""`rackseed demo`."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.option("--keep", is_flag=True, help="Leave machines and appliance running at the end, until Ctrl-C.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("/var/tmp/rackseed-demo"),  # noqa: S108 - a well-known place for gigabytes that may go
    show_default=True,
    help="Where logs, disks and state are kept; emptied at the start.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="RACKSEED_CACHE",
    default=lambda: Path.home() / ".cache" / "rackseed",
    help="Where built images are kept.  [default: ~/.cache/rackseed]",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a picture (SVG) of the terminal at the end.",
)
def demo(*, keep: bool, folder: Path, cache: Path, picture: Path | None) -> int:
    """Three bare QEMU machines, from power-on to installed: they boot from us, enrol, are planned and installed."""
    from rich.console import Console  # noqa: PLC0415 - start-up time of other commands

    from appliance.rehearsal.demo import DemoOptions, run_demo  # noqa: PLC0415
    from appliance.rehearsal.errors import RehearsalError  # noqa: PLC0415

    console = Console(record=picture is not None, width=120 if picture is not None else None)
    try:
        good = run_demo(DemoOptions(folder=folder.absolute(), cache=cache, keep=keep), console)
    except RehearsalError as error:
        raise click.ClickException(str(error)) from error
    finally:
        if picture is not None:
            console.save_svg(str(picture), title="rackseed demo")
    return 0 if good else 1
