"""Logs go to stderr, one line per record, with the name of the process; the journal stamps its lines itself."""

from __future__ import annotations

import logging
import os
import sys


def start(role: str) -> None:
    """Set up logging of this process."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    name_lines(role)


def name_lines(role: str) -> None:
    """Begin every line with the process's name (a fork has another one than its parent)."""
    stamp = "" if os.environ.get("JOURNAL_STREAM") else "%(asctime)s "
    name = "rackseed" if role == "all" else f"rackseed-{role}"
    for handler in logging.getLogger().handlers:
        handler.setFormatter(logging.Formatter(f"{stamp}{name} %(levelname)s %(message)s"))
