"""Notices that somebody else committed, in microseconds, so that answers may be cached and are still never stale.

SQLite's ``PRAGMA data_version`` changes on a connection when another connection commits, not by its own commits. So what
the owner of a watch writes through it does not throw its own cache away.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from appliance.store.database import Store, unavailable


class Watch:
    """One connection of a store, kept for itself. Safe to share between threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.RLock()
        self._connection: Connection | None = None
        self._version: Any = None

    def changed(self) -> bool:
        """Whether another connection committed since the last call (True at the first). PostgreSQL: always True."""
        if not self._store.sqlite:
            return True
        with self._lock, self._errors():
            raw = self._open().connection.dbapi_connection
            version = raw.execute("PRAGMA data_version").fetchone()[0] if raw else None
            before, self._version = self._version, version
            return version is None or version != before

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """As `Store.read`, on this connection."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """As `Store.write`, on this connection: `changed` does not see it."""
        with self._transaction(write=True) as connection:
            yield connection

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        with self._lock, self._errors():
            connection = self._open().execution_options(rackseed_write=write)
            with connection.begin():
                yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error) as error:
            self.close()
            problem = unavailable(error, self._store.engine)
            if problem is None:
                raise
            raise problem from error

    def _open(self) -> Connection:
        if self._connection is None:
            self._connection = self._store.engine.connect()
            self._version = None
        return self._connection
