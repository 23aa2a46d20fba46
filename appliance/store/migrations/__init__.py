"""Migrations of the database, in order. Made by Alembic; run by `appliance.store.migrate`."""
