"""Errors as ``application/problem+json`` (RFC 9457): ``title, status, detail, errors:[{at, message}]``."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus

from flask import Flask, Response, request
from pydantic import TypeAdapter
from werkzeug.exceptions import HTTPException

from agent.wire import WireError
from appliance.operations.errors import Invalid, OperationError, TooMany
from appliance.store.database import StoreError

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaw:
    """One thing that is wrong with a request. ``at`` is a path in the body, or the name of a header or argument."""

    at: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Body of every answer that is not a success."""

    title: str
    status: int
    detail: str = ""
    errors: tuple[Flaw, ...] = ()


class ApiError(Exception):
    """A request that the web layer itself refuses, before any operation was asked."""

    def __init__(self, status: int, detail: str, errors: tuple[Flaw, ...] = ()) -> None:
        super().__init__(detail)
        self.problem = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)


_ADAPTER = TypeAdapter(Problem)


def answer(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The problem as an HTTP response."""
    return Response(_ADAPTER.dump_json(problem), problem.status, mimetype=MEDIA_TYPE, headers=headers)


def of_operation(error: OperationError) -> Response:
    """An operation's refusal, with the status that its class carries."""
    flaws = tuple(Flaw(at=at, message=text) for at, text in error.problems) if isinstance(error, Invalid) else ()
    headers = {"Retry-After": str(max(1, round(error.retry_after)))} if isinstance(error, TooMany) else None
    return answer(Problem(title=error.title, status=error.status, detail=str(error), errors=flaws), headers)


def _of_http(error: HTTPException) -> Response:
    """werkzeug's own refusals (404, 405, 413, 415 ...): the same shape, keeping headers such as Allow."""
    status = error.code or 500
    kept = {name: value for name, value in error.get_headers() if name in {"Allow", "Retry-After", "Location"}}
    return answer(Problem(title=HTTPStatus(status).phrase, status=status, detail=error.description or ""), kept)


def _of_wire(error: WireError) -> Response:
    flaw = Flaw(at=error.at, message=error.message)
    return answer(Problem(title="Invalid request", status=422, detail="the body does not fit its type", errors=(flaw,)))


def _of_store(error: StoreError) -> Response:
    return answer(Problem(title="Not available now", status=503, detail=str(error)))


def _unexpected(error: Exception, app: Flask) -> Response:
    """A defect of ours: the log has the traceback, the client only learns where to look."""
    app.logger.exception("path=%s why=unexpected %s", request.path, type(error).__name__)
    detail = "the appliance has a defect; its log says more (journalctl -u 'rackseed-*')"
    return answer(Problem(title="Internal error", status=500, detail=detail))


def register(app: Flask) -> None:
    """Answer every error of this application as a problem."""
    app.register_error_handler(ApiError, lambda error: answer(error.problem))
    app.register_error_handler(OperationError, of_operation)
    app.register_error_handler(WireError, _of_wire)
    app.register_error_handler(StoreError, _of_store)
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, lambda error: _unexpected(error, app))
