"""What every operation gets: the appliance it works on, and who asks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from appliance.effects.authority import Authority
from appliance.effects.clock import Clock, SystemClock
from appliance.effects.secrets import SecretBox
from appliance.model.settings import Settings
from appliance.operations.errors import PermissionDenied
from appliance.store.database import Store
from hwprofiles.loader import load_profiles
from hwprofiles.profile import Profile


class Role(StrEnum):
    """``viewer`` looks, ``operator`` also changes machines and plans, ``admin`` also changes who may do what."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMIN: 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who asks. ``via`` is how they proved it: ``session``, ``token``, ``socket``, ``rule`` or ``system``."""

    name: str
    role: Role
    via: str

    def may(self, role: Role) -> bool:
        """Whether the actor's role is ``role`` or more."""
        return _RANK[self.role] >= _RANK[role]

    def require(self, role: Role, what: str) -> None:
        """Raise `PermissionDenied` when the actor may not do ``what`` (a verb with its object, for the message)."""
        if not self.may(role):
            raise PermissionDenied(f"{self.name} is {self.role} and may not {what}; this needs the role {role}")


SYSTEM = Actor(name="rackseed", role=Role.ADMIN, via="system")
"""The appliance itself: rules, deadlines and the worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Appliance:
    """Everything an operation works with. One per process."""

    store: Store
    clock: Clock
    authority: Authority
    secrets: SecretBox
    settings: Settings
    profiles: tuple[Profile, ...]

    @classmethod
    def open(cls, settings: Settings, clock: Clock | None = None) -> Appliance:
        """Open (and at first start make) the state: database, keys. Raises `StoreError`, `AuthorityError` or
        `SecretError`."""
        clock = clock or SystemClock()
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        return cls(
            store=Store.open(settings.database_url),
            clock=clock,
            authority=Authority.open(settings.state, clock, settings.address),
            secrets=SecretBox.open(settings.state),
            settings=settings,
            profiles=load_profiles(),
        )

    def close(self) -> None:
        """Close the database."""
        self.store.close()
