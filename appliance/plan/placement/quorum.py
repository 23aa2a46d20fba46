"""Votes of a Proxmox cluster (corosync's votequorum): every node has one, an arbiter (QDevice, ffsplit) one more.

A QDevice is only for even numbers of nodes (`proxmox.md` §2, pvecm): with an odd number it can take more than it gives.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Votes:
    """``quorum`` is the majority of ``votes``, ``tolerates`` how many nodes may fail while the arbiter lives."""

    votes: int
    quorum: int
    tolerates: int


def count(nodes: int, *, arbiter: bool) -> Votes:
    """The votes of a cluster of ``nodes`` ≥ 1."""
    votes = nodes + arbiter
    quorum = votes // 2 + 1
    return Votes(votes=votes, quorum=quorum, tolerates=votes - quorum)


def wants_arbiter(nodes: int) -> bool:
    """Whether an arbiter helps."""
    return nodes % 2 == 0
