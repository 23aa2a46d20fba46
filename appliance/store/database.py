"""The door to the database: opening, migrating, and short transactions that never tread on another process's toes.

SQLite runs in WAL mode with ``synchronous=FULL``: what was committed survives a power cut. Writers take the lock at the
beginning (BEGIN IMMEDIATE), so a transaction never fails half way because another process wrote first; it waits up to
`BUSY_SECONDS` for its turn instead. Never hold a transaction across I/O.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError

REVISION = "0006"
"""The migration that this code needs; a test holds it equal to Alembic's head."""

BUSY_SECONDS = 20.0
_MIGRATION_LOCK_KEY = 7_305_021  # PostgreSQL advisory lock: any number, the same in every process
_FORKED_POOLS: list[Any] = []  # a child must not close its parent's connections, so they are kept alive for ever


class StoreError(Exception):
    """The database could not do what was asked.

    StoreError
    ├── StoreUnavailable    disk full, read-only, locked for too long, broken file, wrong URL
    ├── StoreTooNew         written by a newer version of rackseed
    └── MigrationFailed     the schema could not be brought up to date; nothing was changed
    """


class StoreUnavailable(StoreError):
    """Disk full, read-only, locked for too long, broken file or unreachable server. The message says what to do."""


class StoreTooNew(StoreError):
    """The database was written by a newer version of rackseed than this one."""


class MigrationFailed(StoreError):
    """The schema could not be brought up to date. The transaction was rolled back."""


class Store:
    """One database, shared by all processes of the appliance. Safe to use from many threads and across fork()."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.sqlite = engine.dialect.name == "sqlite"
        _follow_forks(engine)

    @classmethod
    def open(cls, url: str) -> Store:
        """Open and migrate. Several processes may do this at once: one migrates, the others wait for it.

        Raises `StoreUnavailable`, `StoreTooNew` or `MigrationFailed`.
        """
        store = cls(_engine(url))
        try:
            with store._migration_lock():
                store._migrate()
        except BaseException:
            store.close()
            raise
        return store

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent snapshot. Writing in it is an error."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that holds the write lock from its beginning: commits at the end, rolls back on any exception."""
        with self._transaction(write=True) as connection:
            yield connection

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect().execution_options(rackseed_write=write) as connection, connection.begin():
                yield connection
        except DBAPIError as error:
            problem = unavailable(error, self.engine)
            if problem is None:
                raise
            raise problem from error

    @contextmanager
    def _migration_lock(self) -> Iterator[None]:
        """One process migrates at a time: a lock file beside an SQLite database, an advisory lock in PostgreSQL."""
        if self.sqlite:
            path = Path(f"{self.engine.url.database}.lock")
            try:
                lock = path.open("a")
            except OSError as error:
                raise StoreUnavailable(f"cannot open {path}: {error.strerror}; check the state folder") from error
            with lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        elif self.engine.dialect.name == "postgresql":
            with self.engine.connect() as connection:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _MIGRATION_LOCK_KEY})
                try:
                    yield
                finally:
                    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _MIGRATION_LOCK_KEY})
        else:
            yield

    def _migrate(self) -> None:
        with self.read() as connection:
            found = revision(connection)
        if found == REVISION:
            return
        from appliance.store import migrate  # noqa: PLC0415 - Alembic costs 0.2 s, and is needed once per upgrade

        migrate.check(found, self.engine)
        try:
            with self.write() as connection:
                migrate.upgrade(connection)
        except StoreError:
            raise
        except Exception as error:
            raise MigrationFailed(
                f"cannot bring {self.engine.url.render_as_string()} from revision {found or 'empty'} to {REVISION}: "
                f"{error}; nothing was changed"
            ) from error


def revision(connection: Connection) -> str:
    """The schema's revision, or the empty string for a database without one."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise StoreUnavailable(
            "the database URL cannot be read; it looks like sqlite:////var/lib/rackseed/x.db"
        ) from error
    try:
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        raise StoreUnavailable(f"cannot use the database {parsed.render_as_string()}: {error}") from error
    return _sqlite_engine(parsed)


def _sqlite_engine(url: URL) -> Engine:
    if not url.database or url.database == ":memory:":
        raise StoreUnavailable("the database URL names no file: several processes share it, so it cannot be in memory")
    folder = Path(url.database).parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreUnavailable(f"cannot make the folder {folder}: {error.strerror}") from error
    arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, pool_size=8, max_overflow=64)
    event.listen(engine, "connect", _configure)
    event.listen(engine, "begin", _begin)
    return engine


def _configure(connection: sqlite3.Connection, _record: object) -> None:
    """Pragmas of every SQLite connection. The driver must not open transactions by itself: `_begin` does."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(BUSY_SECONDS * 1000)}")
    if cursor.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("rackseed_write", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if write else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _follow_forks(engine: Engine) -> None:
    """SQLite connections must not cross fork(): the child forgets them without closing them."""
    reference = weakref.ref(engine)

    def forget() -> None:
        alive = reference()
        if alive is not None:
            _FORKED_POOLS.append(alive.pool)
            alive.dispose(close=False)

    os.register_at_fork(after_in_child=forget)


_REMEDIES = (
    ("disk is full", "the disk is full: make room, then start again"),
    ("readonly", "it is read-only: check the file's owner and the mount"),
    ("unable to open", "the file cannot be opened: check that the state folder exists and belongs to the service"),
    ("disk i/o error", "the disk returned an I/O error: check it with dmesg"),
    ("locked", "another process has kept it locked for too long: look for a stopped rackseed process"),
    ("not a database", "the file is not a database: restore it from a backup"),
    ("malformed", "the file is damaged: restore it from a backup"),
    ("connection", "the server does not answer"),
)


def unavailable(error: DBAPIError | sqlite3.Error, engine: Engine) -> StoreUnavailable | None:
    """The error as `StoreUnavailable` when its cause lies outside of the program, else None."""
    told = str(error.orig if isinstance(error, DBAPIError) else error).lower()
    for sign, remedy in _REMEDIES:
        if sign in told:
            return StoreUnavailable(f"the database {engine.url.render_as_string()} is not usable: {remedy}")
    return None
