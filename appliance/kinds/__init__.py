"""Cluster kinds: one small, pure package for each. See `appliance.kinds.ceph` for what a kind consists of.

A kind turns a layout and what is observed into steps (`steps`), says of a step whether its effect is there (`done`) and
what to tell which machine now (`act`), and reads what its cluster says of itself (`questions`, `parse`). It knows no store,
no clock, no process: one handler of the engine drives the steps of every kind.
"""
