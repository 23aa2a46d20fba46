"""What an operation may answer instead of a result.

OperationError
├── NotSignedIn             401  no session, token, socket peer or client certificate that we know
├── PermissionDenied        403  the actor's role is not enough
├── NotFound                404  no such machine, plan, artefact ...
├── Conflict                409  it does not fit what is now; look again, then decide again
│   ├── GenerationConflict  412  somebody changed it since you looked (If-Match)
│   └── KeyReused           409  an Idempotency-Key came back with another request
├── Invalid                 422  the request itself is wrong; ``problems`` says where
├── TooLarge                413  more than this operation takes
├── TooMany                 429  too often or too many; ``retry_after`` seconds
└── Unavailable             503  not now (nothing loaded, nothing built, database not usable)

``status`` is the HTTP status that the web layer answers. Messages say what to do, and never contain a secret.
"""

from __future__ import annotations

from typing import ClassVar


class OperationError(Exception):
    """Base of all of them; the message is for a person."""

    status: ClassVar[int] = 500
    title: ClassVar[str] = "The operation failed"


class NotSignedIn(OperationError):
    status = 401
    title = "Not signed in"


class PermissionDenied(OperationError):
    status = 403
    title = "Not allowed"


class NotFound(OperationError):
    status = 404
    title = "Not found"


class Conflict(OperationError):
    status = 409
    title = "Conflict"


class GenerationConflict(Conflict):
    status = 412
    title = "Changed in the meantime"


class KeyReused(Conflict):
    title = "Idempotency-Key was used for another request"


class Invalid(OperationError):
    """``problems`` are pairs of a path (``inventory/disks/0/size``) and a message."""

    status = 422
    title = "Invalid request"

    def __init__(self, message: str, problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class TooLarge(OperationError):
    status = 413
    title = "Too large"


class TooMany(OperationError):
    """``retry_after`` is seconds to wait before trying again."""

    status = 429
    title = "Too many requests"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(OperationError):
    status = 503
    title = "Not available now"
