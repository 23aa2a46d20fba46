"""Entry of ``rackseed-agent`` and of the agent image's /init."""

from __future__ import annotations

import argparse
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from agent import VERSION
from agent.console import Console
from agent.patience import Patience, StopRequest

CONFIGURATION = Path("/etc/rackseed")


def main(argv: Sequence[str] | None = None) -> int:
    """Ends only when told to (0), or when the installed system's files are not usable (2)."""
    parser = argparse.ArgumentParser(
        prog="rackseed-agent", description="Reports this machine to its rackseed appliance."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--installed", action="store_true", help="run as a service of an installed system")
    where.add_argument("--arbiter", action="store_true", help="run beside the appliance, on the boot server")
    parser.add_argument("--configuration", type=Path, default=CONFIGURATION, help=argparse.SUPPRESS)
    parser.add_argument("--version", action="version", version=f"rackseed-agent {VERSION}")
    options = parser.parse_args(argv)
    console = Console() if options.installed or options.arbiter else Console.of_image()
    patience = Patience(stop=_stop_on_signal())
    console.line(f"agent {VERSION} starts")
    # Seconds of imports under emulation: a person should see the line above before them.
    from agent import environments  # noqa: PLC0415

    live = environments.live_installed if options.installed else environments.live_in_image
    if options.arbiter:
        live = environments.live_as_arbiter
    try:
        return live(options.configuration, console, patience)
    except StopRequest:
        console.line("agent ends")
        return 0


def _stop_on_signal() -> threading.Event:
    stop = threading.Event()

    def handle(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, handle)
    return stop
