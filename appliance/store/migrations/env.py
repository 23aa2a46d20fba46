"""Runs migrations on the connection, and inside the transaction, that `appliance.store.migrate` hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from appliance.store.schema import metadata

connection = context.config.attributes["connection"]
if not isinstance(connection, Connection):
    raise TypeError("migrations are run by appliance.store.database.Store.open only")
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
context.run_migrations()
