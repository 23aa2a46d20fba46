"""What Ceph said of itself last, one row per cluster (fsid)."""

from __future__ import annotations

from sqlalchemy import Connection, select

from agent.wire import from_data
from appliance.model.cephstate import CephState
from appliance.store import rows, schema

_table = schema.ceph_state


def put(connection: Connection, state: CephState) -> bool:
    """Keep it, unless a younger one is there already (answers may come late); says whether it was kept."""
    known = connection.execute(select(_table.c.at).where(_table.c.fsid == state.fsid)).scalar()
    if known is not None and known > state.at:
        return False
    rows.upsert(connection, _table, fsid=state.fsid, at=state.at, document=rows.dump(state))
    return True


def when(connection: Connection, fsid: str) -> float | None:
    """When the last one was asked for; None when there is none."""
    return connection.execute(select(_table.c.at).where(_table.c.fsid == fsid)).scalar()


def get(connection: Connection, fsid: str) -> CephState | None:
    """The last one, however old it is (``at`` says); None when this cluster never answered."""
    document = connection.execute(select(_table.c.document).where(_table.c.fsid == fsid)).scalar()
    return None if document is None else from_data(CephState, rows.load(document))


def latest(connection: Connection) -> CephState | None:
    """The youngest of any cluster: an appliance has one, but an earlier one may be remembered."""
    document = connection.execute(select(_table.c.document).order_by(_table.c.at.desc()).limit(1)).scalar()
    return None if document is None else from_data(CephState, rows.load(document))
