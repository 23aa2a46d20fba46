"""The command `rackseed`: groups that are imported when they are used, and one place where errors become exit codes."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from appliance.cli.errors import EXIT_FAILURE, EXIT_INTERRUPTED, EXIT_USER, CommandError

COMMANDS: dict[str, tuple[str, str, str]] = {
    "add": ("verbs", "add", "Add disks, or a machine."),
    "apply": ("plan", "apply", "Do exactly what a plan says."),
    "ceph": ("ceph", "ceph", "Measure Ceph's pools, and show how fast they are."),
    "demo": ("demo", "demo", "Three bare QEMU machines, from power-on to installed."),
    "explain": ("plan", "explain", "Why a machine, a disk, a step, a pool is planned as it is."),
    "image": ("image", "image", "Build agent image, root images and boot files into the cache."),
    "machine": ("machine", "machine", "List, show, approve and change machines."),
    "plan": ("plan", "plan", "Show what would happen, and every disk that would be erased."),
    "remove": ("verbs", "remove", "Take a machine out of its Ceph, or an old OSD."),
    "replace": ("verbs", "replace", "Replace a disk, or a machine."),
    "serve": ("serve", "serve", "Run the appliance, or one of its processes."),
    "site": ("site", "site", "Write, check and load the site file."),
    "timeline": ("timeline", "timeline", "What happened to a machine, and which step is missing."),
}
"""Command → module below `appliance.cli`, its object, and the line for `--help` (so that help imports nothing)."""


class LazyGroup(click.Group):
    """A group that knows its commands by `COMMANDS` and imports one when it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, attribute, _ = COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(f"appliance.cli.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][2]) for name in self.list_commands(ctx)])


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version  # noqa: PLC0415 - start-up time

        click.echo(f"rackseed {version('rackseed')}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 ok, 1 failure, 2 wrong input; with `plan --check`, add, remove and replace also 3 plan has waits, "
    "4 plan has changes.",
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show version."
)
def rackseed() -> None:
    """Turns a rack of bare machines into installed ones: boots, enrols, plans and installs them from one site file."""


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Only a defect of the program shows a traceback."""
    try:
        result: Any = rackseed.main(list(arguments), prog_name="rackseed", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.UsageError as error:
        error.show()
        return EXIT_USER
    except click.ClickException as error:
        error.show()
        return EXIT_FAILURE
    except CommandError as error:
        click.echo(f"rackseed: {error}", err=True)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("rackseed: interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILURE


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
