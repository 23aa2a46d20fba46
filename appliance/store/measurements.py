"""What was measured of pools. Rows are only added; the newest of each pool count."""

from __future__ import annotations

from sqlalchemy import Connection, RowMapping, func, insert, select

from agent.wire import from_data
from appliance.model.ceph import Throughput
from appliance.model.measured import Flow, Measured
from appliance.store import rows, schema

_table = schema.ceph_measurement


def add(connection: Connection, found: Measured) -> None:
    """Append one row."""
    connection.execute(
        insert(_table).values(
            fsid=found.fsid,
            plan=found.plan,
            pool=found.pool,
            machine=found.machine,
            at=found.at,
            write_bytes=found.write.bytes,
            write_seconds=found.write.seconds,
            read_bytes=found.read.bytes,
            read_seconds=found.read.seconds,
            promise=rows.dump(found.promise),
        )
    )


def newest(connection: Connection, fsid: str) -> tuple[Measured, ...]:
    """The last one of each pool of a cluster, by name of the pool."""
    last = select(func.max(_table.c.seq)).where(_table.c.fsid == fsid).group_by(_table.c.pool)
    query = select(_table).where(_table.c.seq.in_(last)).order_by(_table.c.pool)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def history(connection: Connection, fsid: str, limit: int) -> tuple[Measured, ...]:
    """The newest first."""
    query = select(_table).where(_table.c.fsid == fsid).order_by(_table.c.seq.desc()).limit(limit)
    return tuple(_row(row) for row in connection.execute(query).mappings())


def _row(row: RowMapping) -> Measured:
    return Measured(
        fsid=row["fsid"],
        plan=row["plan"],
        pool=row["pool"],
        machine=row["machine"],
        at=row["at"],
        write=Flow(bytes=row["write_bytes"], seconds=row["write_seconds"]),
        read=Flow(bytes=row["read_bytes"], seconds=row["read_seconds"]),
        promise=from_data(Throughput, rows.load(row["promise"])),
    )
