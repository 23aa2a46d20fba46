"""Lists come in pages: ``?limit=100&cursor=…``; a page's ``next`` is the cursor of the one after it, empty at the end."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TypeVar

from appliance.api.problem import ApiError, Flaw

T = TypeVar("T")
LARGEST_PAGE = 500
LARGEST_NUMBER = 2**62


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Arguments of a list. ``cursor`` is ``next`` of the page before; ``limit`` 1..500."""

    cursor: str = ""
    limit: int = 100


def paged(items: tuple[T, ...], page: Page) -> tuple[tuple[T, ...], str]:
    """A page of a list that is held in memory: the cursor is the number of items before it."""
    start = position(page)
    end = start + size(page)
    return items[start:end], cursor_of(end) if end < len(items) else ""


def position(page: Page) -> int:
    """The number in a cursor, 0 without one. Cursors are opaque to clients."""
    if not page.cursor:
        return 0
    try:
        number = int(base64.urlsafe_b64decode(page.cursor.encode()).decode())
        if not 0 <= number < LARGEST_NUMBER:
            raise ValueError(number)
        return number
    except ValueError as error:
        flaw = Flaw(at="cursor", message="is not one that this list gave")
        raise ApiError(422, "the query does not fit its schema", (flaw,)) from error


def cursor_of(number: int) -> str:
    """The cursor that `position` reads."""
    return base64.urlsafe_b64encode(str(number).encode()).decode()


def size(page: Page) -> int:
    """How many items a page may have."""
    if not 1 <= page.limit <= LARGEST_PAGE:
        flaw = Flaw(at="limit", message=f"must be from 1 to {LARGEST_PAGE}")
        raise ApiError(422, "the query does not fit its schema", (flaw,))
    return page.limit
