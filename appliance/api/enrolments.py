"""``/api/v1/enrolments``: a machine asks to be let in. Nobody is signed in here; the answer holds no secret."""

from __future__ import annotations

from flask import request

from agent.wire import EnrolmentReply, EnrolmentRequest
from appliance.api.route import Api, Reply, appliance
from appliance.operations import enrolment

LIMIT = 1 << 20

api = Api("enrolments", __name__, url_prefix="/api/v1")


@api.route_for("POST", "/enrolments", status=201, errors=(413, 422, 429), limit=LIMIT)
def enrol(body: EnrolmentRequest) -> Reply[EnrolmentReply]:
    """Ask to be enrolled, with a request for a certificate and what the machine says it is. The same key again gets the
    same token."""
    reply = enrolment.enrol(appliance(), body, request.remote_addr or "")
    return Reply(value=reply, location=f"/api/v1/enrolments/{reply.token}")


@api.route_for("GET", "/enrolments/<token>", errors=(404,))
def enrolment_state(token: str) -> EnrolmentReply:
    """Whether a person or a rule approved; then with the certificate. The token is known to the machine only."""
    return enrolment.enrolment_state(appliance(), token)
