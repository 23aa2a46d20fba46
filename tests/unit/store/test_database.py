"""Opening, migrating, locking and the errors of the database."""

from __future__ import annotations

import multiprocessing
import os
import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import OperationalError

from appliance.store import database, migrate, schema
from appliance.store.database import MigrationFailed, Store, StoreError, StoreTooNew, StoreUnavailable
from appliance.store.watch import Watch

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'state' / 'rackseed.db'}"


def _count(store: Store) -> int:
    with store.read() as connection:
        return int(connection.execute(select(schema.lease.c.expires)).scalar_one())


def _start_counter(store: Store) -> None:
    with store.write() as connection:
        connection.execute(insert(schema.lease).values(address="10.0.0.1", key="k", mac="m", expires=0.0))


def _add_one(store: Store) -> None:
    with store.write() as connection:
        value = connection.execute(select(schema.lease.c.expires)).scalar_one()
        connection.execute(update(schema.lease).values(expires=value + 1))


def _open_and_add(url: str, times: int) -> None:
    store = Store.open(url)
    for _ in range(times):
        _add_one(store)
    store.close()


def test_the_migrated_schema_is_the_one_that_queries_are_written_against(url: str) -> None:
    store = Store.open(url)
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
        assert database.revision(connection) == database.REVISION
    assert migrate.head() == database.REVISION
    store.close()


def test_sqlite_keeps_what_was_committed_through_a_power_cut_and_checks_references(url: str) -> None:
    store = Store.open(url)
    with store.read() as connection:
        pragmas = {
            name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")
        }
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    store.close()


def test_a_transaction_is_all_or_nothing(url: str) -> None:
    store = Store.open(url)
    _start_counter(store)
    with pytest.raises(RuntimeError, match="half way"), store.write() as connection:
        connection.execute(update(schema.lease).values(expires=7.0))
        raise RuntimeError("half way")
    assert _count(store) == 0
    store.close()


def test_writing_in_a_read_is_an_error(url: str) -> None:
    store = Store.open(url)
    with pytest.raises((StoreError, OperationalError), match=r"readonly|read-only"), store.read() as connection:
        connection.execute(insert(schema.lease).values(address="10.0.0.1", key="k", mac="m", expires=0.0))
    _start_counter(store)
    assert _count(store) == 0
    store.close()


def test_processes_that_start_at_once_migrate_once_and_lose_no_update(url: str) -> None:
    first = Store.open(url)
    _start_counter(first)
    workers = [SPAWN.Process(target=_open_and_add, args=(url, 40)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for _ in range(40):
        _add_one(first)
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert _count(first) == 120
    first.close()


def _open_only(url: str) -> None:
    Store.open(url).close()


def test_a_new_database_may_be_opened_by_several_processes_at_once(url: str) -> None:
    workers = [SPAWN.Process(target=_open_only, args=(url,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]


def test_threads_share_a_store(url: str) -> None:
    store = Store.open(url)
    _start_counter(store)
    threads = [threading.Thread(target=lambda: [_add_one(store) for _ in range(10)]) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _count(store) == 60
    store.close()


def test_a_child_after_fork_uses_connections_of_its_own(url: str) -> None:
    store = Store.open(url)
    _start_counter(store)
    child = os.fork()
    if child == 0:
        try:
            _add_one(store)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _add_one(store)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert _count(store) == 2
    store.close()


def test_a_database_of_a_newer_version_is_refused(url: str) -> None:
    store = Store.open(url)
    with store.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    store.close()
    with pytest.raises(StoreTooNew, match=r"revision 9999, which this version of rackseed does not know"):
        Store.open(url)


def test_a_migration_that_fails_changes_nothing(url: str, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with sqlite3.connect(tmp_path / "state" / "rackseed.db") as raw:
        raw.execute("CREATE TABLE site (stranger TEXT)")
    raw.close()
    with pytest.raises(MigrationFailed, match="nothing was changed"):
        Store.open(url)
    with sqlite3.connect(tmp_path / "state" / "rackseed.db") as raw:
        tables = {row[0] for row in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    raw.close()
    assert tables == {"site"}


def test_a_full_disk_has_a_name(url: str) -> None:
    store = Store.open(url)
    with pytest.raises(StoreUnavailable, match="the disk is full: make room"), store.write() as connection:
        connection.execute(text("PRAGMA max_page_count = 1"))
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
        connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        for number in range(2000):
            connection.execute(
                insert(schema.lease).values(address=f"a{number}", key=f"k{number}" * 20, mac="m", expires=0.0)
            )
    store.close()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"this is no database, and long enough to be looked at" * 20, "not a database|damaged")],
)
def test_a_file_that_is_no_database_has_a_name(url: str, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "rackseed.db").write_bytes(content)
    with pytest.raises(StoreUnavailable, match=message):
        Store.open(url)


def test_a_database_that_stays_locked_has_a_name(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)
    store = Store.open(url)
    other = sqlite3.connect(tmp_path / "state" / "rackseed.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked for too long"), store.write():
        pass
    other.execute("ROLLBACK")
    other.close()
    with store.write():
        pass
    store.close()


@pytest.mark.parametrize("wrong", ["nonsense", "nosuchdriver://x", "sqlite://", "sqlite:////proc/none/x.db"])
def test_a_wrong_url_has_a_name(wrong: str) -> None:
    with pytest.raises(StoreUnavailable):
        Store.open(wrong)


def test_a_password_in_the_url_is_not_told() -> None:
    with pytest.raises(StoreUnavailable) as caught:
        Store.open("nosuchdriver://user:topsecret@host/db")
    assert "topsecret" not in str(caught.value)


def test_a_watch_sees_the_commits_of_others_and_not_its_own(url: str) -> None:
    store = Store.open(url)
    _start_counter(store)
    watch = Watch(store)
    assert watch.changed()
    assert not watch.changed()
    with watch.write() as connection:
        connection.execute(update(schema.lease).values(expires=5.0))
    assert not watch.changed()
    _add_one(store)
    assert watch.changed()
    assert not watch.changed()
    assert _count(store) == 6
    watch.close()
    assert watch.changed()
    watch.close()
    store.close()
