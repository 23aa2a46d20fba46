"""Alembic, driven from inside: no command line, no configuration file, the migrations come with the package."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from appliance.store.database import StoreTooNew

FOLDER = Path(__file__).resolve().parent / "migrations"


def configuration(connection: Connection | None = None) -> Config:
    """An Alembic configuration that uses ``connection`` and its transaction."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The newest revision that this code brings."""
    return ScriptDirectory.from_config(configuration()).get_current_head() or ""


def check(found: str, engine: Engine) -> None:
    """Raise `StoreTooNew` when ``found`` is a revision that this code does not know."""
    if not found:
        return
    known = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}
    if found not in known:
        raise StoreTooNew(
            f"the database {engine.url.render_as_string()} has revision {found}, which this version of rackseed does "
            f"not know (it knows up to {head()}): install the version that wrote it, or restore an older backup"
        )


def upgrade(connection: Connection) -> None:
    """Run what is missing inside the transaction of ``connection``."""
    command.upgrade(configuration(connection), "head")
