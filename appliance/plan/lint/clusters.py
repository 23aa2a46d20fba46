"""Clusters: who is in them, and whether they can decide."""

from __future__ import annotations

import re
from collections import Counter

from appliance.model.cluster import MAX_NAME, MAX_NODES, Arbiter, ClusterLayout
from appliance.model.plan import WaitReason
from appliance.plan.lint.rule import ERROR, WARNING, Findings, counted, listed, rule
from appliance.plan.lint.scene import Scene

APPLIANCE = "appliance"
RECOMMENDED = 8
"""Nodes of a cluster that the architecture draft recommends at least (`ceph.md` §4)."""
_NAME = re.compile(r"[A-Za-z]([A-Za-z0-9-]*[A-Za-z0-9])?")


@rule(ERROR, "narrow the clusters' machines, profiles, racks or zones in the site file")
def machine_in_two_clusters(scene: Scene) -> Findings:
    """A machine is member of one cluster, once."""
    places: dict[str, list[str]] = {}
    for cluster in scene.plan.desired.clusters:
        for who in cluster.members:
            places.setdefault(who, []).append(cluster.name)
    for who, names in places.items():
        if len(names) > 1:
            yield scene.name(who), f"is {len(names)} times a member: {listed(names)}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def member_unknown(scene: Scene) -> Findings:
    """A member of a cluster is a machine that we know, and its own layout says the same."""
    for cluster in scene.plan.desired.clusters:
        for who in cluster.members:
            node = scene.nodes.get(who)
            if node is None and who not in scene.machines:
                yield scene.name(who), f"is a member of {cluster.name}, but nobody knows such a machine"
            elif node is not None and node.cluster != cluster.name:
                yield node.name, f"is a member of {cluster.name}, but its layout says '{node.cluster or 'no cluster'}'"


@rule(ERROR, "lower the number of machines, or let the planner split the cluster")
def cluster_too_large(scene: Scene) -> Findings:
    """A cluster has at most 32 nodes, or what the site file allows below that (the architecture draft's rule,
    `proxmox.md` §2)."""
    for cluster in scene.plan.desired.clusters:
        spec = scene.specs.get(cluster.spec)
        wanted = min(spec.maximum, MAX_NODES) if spec else MAX_NODES
        most = MAX_NODES if scene.settled(cluster.members) else wanted
        if len(cluster.members) > most:
            yield cluster.name, f"{len(cluster.members)} nodes; at most {most}"


@rule(WARNING, "drain members, or allow more in the site file")
def cluster_above_maximum(scene: Scene) -> Findings:
    """A cluster that stands has no more nodes than the site file now allows; nobody is thrown out by a plan."""
    for cluster in scene.plan.desired.clusters:
        spec = scene.specs.get(cluster.spec)
        if spec and spec.maximum < len(cluster.members) <= MAX_NODES and scene.settled(cluster.members):
            yield cluster.name, f"{len(cluster.members)} nodes; the site file allows {spec.maximum}"


@rule(ERROR, "choose a shorter name in the site file")
def cluster_name(scene: Scene) -> Findings:
    """A cluster's name has at most 15 letters, digits and hyphens, begins with a letter, and is its own (`pvecm`)."""
    for name, count in Counter(cluster.name for cluster in scene.plan.desired.clusters).items():
        if count > 1:
            yield name, f"{count} clusters have this name"
        if len(name) > MAX_NAME or not _NAME.fullmatch(name):
            yield name, f"'{name}' is no cluster name: a letter, then letters, digits and hyphens, at most {MAX_NAME}"


@rule(ERROR, "report it as a fault of the planner; plan again")
def cluster_without_spec(scene: Scene) -> Findings:
    """A planned cluster comes from one of the site file, is of its kind, and is not empty."""
    for cluster in scene.plan.desired.clusters:
        spec = scene.specs.get(cluster.spec)
        if spec is None and not scene.waits(WaitReason.HELD, cluster.name):
            yield cluster.name, f"comes from '{cluster.spec}', which the site file does not have"
        elif spec is not None and str(spec.kind) != str(cluster.kind):
            yield cluster.name, f"is {cluster.kind}; the site file says {spec.kind}"
        if not cluster.members:
            yield cluster.name, "has no members"


@rule(WARNING, "put the cluster back into the site file, or drain its machines")
def cluster_orphaned(scene: Scene) -> Findings:
    """A cluster that stands is still in the site file: leaving it out dissolves nothing."""
    for cluster in scene.plan.desired.clusters:
        if cluster.spec not in scene.specs and scene.waits(WaitReason.HELD, cluster.name):
            yield (
                cluster.name,
                f"stands with {counted(len(cluster.members), 'member')}, but the site file has it no more",
            )


@rule(WARNING, "wait until they are back, or retire them")
def member_absent(scene: Scene) -> Findings:
    """All members of a cluster are in the layout: what is held or in trouble is planned around."""
    for cluster in scene.plan.desired.clusters:
        lost = [scene.name(who) for who in cluster.members if who not in scene.nodes and who in scene.machines]
        if lost:
            yield cluster.name, f"{counted(len(lost), 'member')} held or in trouble, and planned around: {listed(lost)}"


@rule(ERROR, "give an arbiter (a Raspberry Pi or the appliance), or one node more or fewer")
def even_votes(scene: Scene) -> Findings:
    """The number of votes is odd: with an even one, two halves that don't see each other both stop (`proxmox.md` §2). Who
    says ``arbiter: none`` himself, or waits for the arbiter, is only warned."""
    for cluster in scene.plan.desired.clusters:
        votes = len(cluster.members) + bool(cluster.arbiter)
        if votes % 2 == 0 and not _accepted(scene, cluster):
            how = f"{len(cluster.members)} nodes{' and the arbiter' if cluster.arbiter else ''}"
            remedy = "leave the arbiter out" if cluster.arbiter else "an arbiter or one node more makes it odd"
            yield cluster.name, f"{votes} votes ({how}): two halves would both stop; {remedy}"


@rule(WARNING, "say 'arbiter: auto'")
def even_votes_wanted(scene: Scene) -> Findings:
    """The number of votes is odd, also where the site file says ``arbiter: none`` or the arbiter is not there yet."""
    for cluster in scene.plan.desired.clusters:
        votes = len(cluster.members) + bool(cluster.arbiter)
        if votes % 2 == 0 and _accepted(scene, cluster):
            text = f"{votes} votes without an arbiter: {votes // 2} nodes that go at once stop it"
            yield cluster.name, f"{text}; 'arbiter: auto' lets the appliance vote"


def _accepted(scene: Scene, cluster: ClusterLayout) -> bool:
    """Whether somebody knows that no arbiter votes: the site file wants none, or the plan waits for it."""
    spec = scene.specs.get(cluster.spec)
    waited = not cluster.arbiter and scene.waits(WaitReason.NO_QUORUM, cluster.name, cluster.spec)
    return waited or (spec is not None and spec.arbiter == Arbiter.NONE.value)


@rule(ERROR, "choose a machine outside the cluster as arbiter")
def arbiter_is_member(scene: Scene) -> Findings:
    """The arbiter is the appliance or a known machine outside the cluster: a member would vote twice."""
    for cluster in scene.plan.desired.clusters:
        if cluster.arbiter in cluster.members:
            yield cluster.name, f"its arbiter {scene.name(cluster.arbiter)} is a member, and would vote twice"
        elif cluster.arbiter not in ("", APPLIANCE) and cluster.arbiter not in scene.machines:
            yield cluster.name, f"its arbiter {cluster.arbiter} is no machine that we know"


@rule(ERROR, "report it as a fault of the planner; plan again")
def quorum_wrong(scene: Scene) -> Findings:
    """One vote for each node and one for the arbiter; the quorum is more than half; so many nodes may fail as are not
    needed for it (votequorum(5))."""
    for cluster in scene.plan.desired.clusters:
        votes = len(cluster.members) + bool(cluster.arbiter)
        quorum = votes // 2 + 1
        for what, said, right in (
            ("votes", cluster.votes, votes),
            ("quorum", cluster.quorum, quorum),
            ("tolerates", cluster.tolerates, votes - quorum),
        ):
            if said != right:
                yield cluster.name, f"{what} is {said} in the layout; {len(cluster.members)} nodes make it {right}"


@rule(WARNING, "plan for more nodes")
def few_nodes(scene: Scene) -> Findings:
    """A cluster has 8 nodes or more (the architecture draft's recommendation): below, one lost node is more than an
    eighth of everything."""
    for cluster in scene.plan.desired.clusters:
        count = len(cluster.members)
        if 0 < count < RECOMMENDED:
            yield (
                cluster.name,
                f"{counted(count, 'node')}; {RECOMMENDED} or more are recommended: one is {100 // count} % of it",
            )


@rule(WARNING, "add nodes until 3 vote, or an arbiter to two nodes")
def nothing_may_fail(scene: Scene) -> Findings:
    """A cluster goes on after the loss of one node: three votes are the least."""
    for cluster in scene.plan.desired.clusters:
        votes = len(cluster.members) + bool(cluster.arbiter)
        if votes and votes - (votes // 2 + 1) < 1:
            yield cluster.name, f"{counted(votes, 'vote')}: no node may fail; 3 votes are the least for that"


@rule(WARNING, "give the cluster or its repositories a frozen date")
def frozen_missing(scene: Scene) -> Findings:
    """Clusters and Ceph have a date at which their packages are frozen: else a node that comes later gets other versions
    than the first ones."""
    everything = bool(scene.site.repositories) and all(entry.frozen for entry in scene.site.repositories)
    names = [cluster.name for cluster in scene.plan.desired.clusters if not cluster.frozen]
    names += [scene.ceph.name] if scene.ceph and not scene.ceph.frozen else []
    if names and not everything:
        yield (
            "frozen",
            f"no frozen date for {listed(names)}: a node added later gets other versions than the first ones",
        )
