"""CRUSH rules."""

from __future__ import annotations

from collections import Counter

from appliance.model.ceph import RuleLayout
from appliance.plan.lint.rule import ERROR, Findings, listed, rule
from appliance.plan.lint.scene import Scene
from appliance.plan.lint.tree import ORDER, Block, blocks

_AGAIN = "report it as a fault of the planner; plan again"


def readable(layout: RuleLayout) -> tuple[Block, ...]:
    """The blocks of a rule, empty when it can't be read (which is a finding of its own)."""
    try:
        return blocks(layout.steps)
    except ValueError:
        return ()


@rule(ERROR, _AGAIN)
def crush_rule_twice(scene: Scene) -> Findings:
    """A CRUSH rule has a name and a number of its own (crushtool keeps the last of two)."""
    found = scene.ceph.rules if scene.ceph else ()
    for name, count in Counter(layout.name for layout in found).items():
        if count > 1:
            yield name, f"{count} rules have this name"
    for number, count in Counter(layout.number for layout in found).items():
        if count > 1 or number < 0:
            yield listed(layout.name for layout in found if layout.number == number), f"share the number {number}"


@rule(ERROR, _AGAIN)
def crush_rule_steps(scene: Scene) -> Findings:
    """A CRUSH rule takes a bucket, chooses leaves among known bucket types, and emits."""
    for layout in scene.ceph.rules if scene.ceph else ():
        try:
            found = blocks(layout.steps)
        except ValueError as error:
            yield layout.name, f"the step {error} can't be read"
            continue
        if not found:
            yield layout.name, "takes no bucket"
        for block in found:
            unknown = [level for _, level in block.choices if level not in (*ORDER, "osd")]
            if unknown:
                yield layout.name, f"chooses {listed(unknown)}, which is no bucket type"
            if not block.leaves or not block.emitted:
                yield layout.name, f"takes {block.take}, but {'emits nothing' if block.leaves else 'chooses no OSDs'}"


@rule(ERROR, _AGAIN)
def crush_rule_takes_nothing(scene: Scene) -> Findings:
    """A CRUSH rule takes a bucket that is in the tree, and a class that has OSDs below it."""
    for layout in scene.ceph.rules if scene.ceph else ():
        for block in readable(layout):
            if block.take not in scene.tree.buckets:
                yield layout.name, f"takes {block.take}, which is not in the tree"
            elif not scene.tree.count(block.take, block.device_class):
                kind = f"of class {block.device_class} " if block.device_class else ""
                yield layout.name, f"takes {block.take}, which has no OSDs {kind}below it"
