"""The kind ``ceph``: formed from a planned layout, and kept by its verbs of life. Pure.

How a step is carried out: `done` of a step is asked with what Ceph says of itself. While it is false, `act`
says what to tell which machine, or what is waited for. After an order has ended, both are asked again: the same order as
before means that its effect is not to be seen yet (wait, and tell it again after a while), another one is the next part of
the step. A few steps leave nothing to see (`by_order`): they are done when the order of theirs has ended well.
"""

from appliance.kinds.ceph.acts import Act, Wait, act
from appliance.kinds.ceph.begun import begun, marks, may_be_begun
from appliance.kinds.ceph.capacity import drain_seconds, may_leave
from appliance.kinds.ceph.done import by_order, done
from appliance.kinds.ceph.keys import KeyKind, KeySpec, keys
from appliance.kinds.ceph.lint import lint
from appliance.kinds.ceph.names import osd_uuid
from appliance.kinds.ceph.parse import AnswerError, parse
from appliance.kinds.ceph.questions import manager_questions, questions
from appliance.kinds.ceph.rates import DrainRate, drain_rate
from appliance.kinds.ceph.stale import gone, host_of, kept, uuid_of
from appliance.kinds.ceph.steps import steps
from appliance.kinds.ceph.there import live, serving

__all__ = [
    "Act",
    "AnswerError",
    "DrainRate",
    "KeyKind",
    "KeySpec",
    "Wait",
    "act",
    "begun",
    "by_order",
    "done",
    "drain_rate",
    "drain_seconds",
    "gone",
    "host_of",
    "kept",
    "keys",
    "lint",
    "live",
    "manager_questions",
    "marks",
    "may_be_begun",
    "may_leave",
    "osd_uuid",
    "parse",
    "questions",
    "serving",
    "steps",
    "uuid_of",
]
