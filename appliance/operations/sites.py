"""The site file: loading it, and what follows at once (rules approve, machines are recognised)."""

from __future__ import annotations

import hashlib
import logging
from functools import lru_cache
from pathlib import Path

from sqlalchemy import Connection

from appliance.model.expected import expected_entry
from appliance.model.site import Site
from appliance.operations import audit
from appliance.operations.context import Actor, Appliance, Role
from appliance.operations.errors import Invalid, Unavailable
from appliance.site.load import SiteError, complete_text, load_text
from appliance.site.load import load_site as parsed_site
from appliance.store import events, evidence, machines, sites
from appliance.store.events import Happening
from appliance.store.sites import SiteRow

log = logging.getLogger(__name__)

MAX_SITE_BYTES = 4 << 20


def load_site(app: Appliance, actor: Actor, path: Path) -> Site:
    """Read, check and store a site file, with the list of machines beside it that it names; see `load_site_text`."""
    actor.require(Role.OPERATOR, "load a site file")
    try:
        parsed_site(path, app.profiles)
        text = complete_text(path)
    except SiteError as error:
        raise _invalid(error) from error
    return load_site_text(app, actor, text, str(path))


def load_site_text(app: Appliance, actor: Actor, text: str, path: str) -> Site:
    """Check and store a site file; machines are recognised and rules evaluated in the same transaction.

    ``path`` is only for messages; the text stands alone, so a list of machines is inside it. Raises `Invalid` with every
    problem as (``file:line:column``, message).
    """
    from appliance.operations import enrolment  # noqa: PLC0415 - enrolment needs the site for its rules

    actor.require(Role.OPERATOR, "load a site file")
    if len(text) > MAX_SITE_BYTES:
        raise Invalid(f"{path}: a site file has at most {MAX_SITE_BYTES} bytes")
    try:
        site = load_text(text, path, app.profiles)
    except SiteError as error:
        raise _invalid(error) from error
    digest = hashlib.sha256(text.encode()).hexdigest()
    now = app.clock.now()
    with app.store.write() as connection:
        before = sites.current(connection)
        sites.put(connection, SiteRow(sha256=digest, text=text, path=path, loaded=now))
        if before is None or before.sha256 != digest:
            note = f"site {site.name} was loaded from {path}"
            events.add(connection, at=now, machine="", kind=Happening.SITE, text=note, data={"sha256": digest})
            audit.record(connection, app, actor, "site.load", site.name, sha256=digest, path=path)
        for row in machines.everything(connection):
            recognise(connection, row.id, at=now)
        enrolment.apply_rules(app, connection)
    log.info("machine=- step=site why=%s loaded from %s by %s", site.name, path, actor.name)
    return site


def current_site(app: Appliance) -> Site | None:
    """The site that holds, None before one was loaded. Raises `Unavailable` when this version cannot read it any more."""
    with app.store.read() as connection:
        return current_in(connection)


def current_in(connection: Connection) -> Site | None:
    """As `current_site`, inside a transaction."""
    row = sites.current(connection)
    return _parse(row.text, row.path) if row else None


def current_text(app: Appliance, actor: Actor) -> SiteRow | None:
    """The site file as it was written."""
    actor.require(Role.VIEWER, "read the site file")
    with app.store.read() as connection:
        return sites.current(connection)


def recognise(connection: Connection, machine: str, *, at: float) -> None:
    """Note which entry of the site file this machine is. An entry belongs to one machine: the first one keeps it."""
    site = current_in(connection)
    row = machines.get(connection, machine)
    if site is None or row is None:
        return
    entry = expected_entry(site, evidence.of_machine(connection, machine))
    name = entry.name if entry else ""
    if name == row.expected:
        return
    holder = machines.expected_as(connection, name) if name else None
    if holder is not None and holder != machine:
        text = f"fits the site's entry {name} too, but that is {holder}"
        events.add(connection, at=at, machine=machine, kind=Happening.IDENTITY, text=text)
        return
    called = name if row.machine.name in ("", row.expected) else row.machine.name
    machines.change(connection, machine, expected=name, name=called)
    text = f"is {name} of the site file" if name else f"is not {row.expected} of the site file any more"
    events.add(connection, at=at, machine=machine, kind=Happening.IDENTITY, text=text)


def _invalid(error: SiteError) -> Invalid:
    return Invalid(str(error), tuple((f"{p.file}:{p.line}:{p.column}", p.message) for p in error.problems))


@lru_cache(maxsize=4)
def _parse(text: str, path: str) -> Site:
    try:
        return load_text(text, path)
    except SiteError as error:
        raise Unavailable(f"the loaded site file does not fit this version: {error}; load it again") from error
