"""What to tell machines for what serves: managers, pools, file systems, gateways; and to see that all of it works."""

from __future__ import annotations

from dataclasses import replace

from agent.cephorder import CephAction, CephOrder, MonCommand, ObjectStore, PoolLaw, RbdNamespace
from appliance.kinds.ceph import commands
from appliance.kinds.ceph.conf import bracketed
from appliance.kinds.ceph.keys import admin_keyring, daemon_keyring, of_daemon, tenants
from appliance.kinds.ceph.names import GATEWAY_PORT, MANAGER_POOL, access_key, secret, tenant
from appliance.kinds.ceph.orders import Act, Wait, addresses, ask, asker
from appliance.kinds.ceph.room import crowded, told
from appliance.kinds.ceph.there import all_active, manager_pool_right, noted, pool_of, unsettled
from appliance.model.ceph import CephArgs, PoolLayout, Service
from appliance.model.cephstate import CephState, PoolState

_ACTIONS = {"mgr": CephAction.MGR, "mds": CephAction.MDS, "rgw": CephAction.RGW}


def daemon(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Its key is made known first, by a machine that may do that; then its own machine makes and starts it."""
    if args.host is None:
        raise ValueError(f"a step {args.verb} of {args.name} names no machine")
    entity, caps = of_daemon(args.service, args.daemon)
    if not noted(state, entity, caps):
        return ask(args, state, commands.import_key(args.fsid, entity, caps))
    order = CephOrder(
        action=_ACTIONS[args.service],
        fsid=args.fsid,
        daemon=args.daemon,
        kind=args.service,
        address=args.host.address,
        monitors=addresses(args, state),
        secrets=(daemon_keyring(args.fsid, args.service, args.daemon),),
        store=store(args) if args.realm else None,
    )
    return Act(machine=args.host.machine, order=order)


def store(args: CephArgs) -> ObjectStore:
    """The realm, and its first user, of the cluster's name."""
    return ObjectStore(
        realm=args.realm,
        pool=f"{args.realm}.rgw.buckets.data",
        user=args.name,
        access=access_key(args.fsid, args.realm),
        secret=secret(args.fsid, f"s3.{args.realm}"),
    )


def pool(args: CephArgs, state: CephState | None) -> Act | Wait:
    if args.pool is None:
        raise ValueError(f"a step pool of {args.name} names no pool")
    found = pool_of(state, args.pool.name)
    if found is None:
        return ask(args, state, commands.create_pool(args.pool))
    if found.erasure and not args.pool.erasure:
        return Wait(text=f"pool {found.name} is coded, the plan wants copies: make one of another name, move the data")
    full = crowded(state, args.pool.device_class) if state and _grows(args.pool, found) else ()
    if full:
        text = f"pool {found.name} is not changed, that would move data: {told(full)}; add disks first"
        return Wait(text=text, room=True)
    return ask(args, state, commands.change_pool(args.pool, found))


def _grows(pool: PoolLayout, now: PoolState) -> bool:
    """Whether OSDs get more data than they have: more copies, or copies elsewhere."""
    return pool.size > now.size or pool.rule != now.rule


def namespaces(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Those of one pool: keys that are not known yet, then what is missing (the machine looks). ``service`` is the coded
    pool that has the data, or empty."""
    if args.pool is None:
        raise ValueError(f"a step namespaces of {args.name} names no pool")
    if state is not None and not all_active(state):
        return Wait(text=f"namespaces of {args.pool.name} are made when all PGs can be used")
    new = {
        entity: caps
        for entity, caps in tenants(args.name, args.pool, args.service).items()
        if not noted(state, entity, caps)
    }
    told = [one for entity, caps in new.items() for one in commands.import_key(args.fsid, entity, caps)]
    made = ask(args, state, (*told, commands.note_namespaces(args.pool)))
    if isinstance(made, Wait):
        return made
    wanted = tuple(RbdNamespace(pool=args.pool.name, name=name) for name in args.pool.namespaces)
    return replace(made, order=replace(made.order, namespaces=wanted))


def filesystem(args: CephArgs, state: CephState | None) -> Act | Wait:
    """``daemon`` is how many standbys it should have: fewer are a health warning."""
    metadata, data, coded = args.keys
    made = [*commands.new_filesystem(args.service, metadata, data, coded)]
    made.append(commands.command("fs set", fs_name=args.service, var="standby_count_wanted", val=args.daemon))
    return ask(args, state, made)


def settle(args: CephArgs, state: CephState | None) -> Act | Wait:
    """The manager's own pool gets one of our rules; the rest is waiting."""
    if state is None:
        return ask(args, state, ())
    if not manager_pool_right(state, args.service):
        return ask(args, state, _manager_pool(args.service))
    return Wait(text=unsettled(state) or "everything is clean")


def _manager_pool(rule: str) -> tuple[MonCommand, ...]:
    return (commands.command("osd pool set", pool=MANAGER_POOL, var="crush_rule", val=rule),)


def verify(args: CephArgs, state: CephState | None) -> Act | Wait:
    """Written, read and compared from a machine with a monitor: it has what a client needs."""
    host = asker(args, state)
    if host is None or args.host is None:
        return ask(args, state, ())
    objects = args.service == Service.OBJECT
    order = CephOrder(
        action=CephAction.CHECK,
        fsid=args.fsid,
        address=f"{bracketed(args.host.address)}:{GATEWAY_PORT}" if objects else "",
        monitors=addresses(args, state),
        secrets=(admin_keyring(args.fsid),),
        check=args.daemon,
        service=args.service,
        store=store(args) if objects else None,
        namespaces=_tried(args),
    )
    return Act(machine=host.machine, order=order)


def prove(args: CephArgs, state: CephState | None) -> Act | Wait:
    """By a machine with a monitor: it may read the map, and has Ceph's own tools for it."""
    host = asker(args, state)
    if host is None:
        return ask(args, state, ())
    order = CephOrder(
        action=CephAction.PROVE,
        fsid=args.fsid,
        monitors=addresses(args, state),
        secrets=(admin_keyring(args.fsid),),
        laws=tuple(law(pool) for pool in args.pools),
    )
    return Act(machine=host.machine, order=order)


def law(pool: PoolLayout) -> PoolLaw:
    """What the plan says of where a pool's copies may be."""
    return PoolLaw(
        pool=pool.name,
        size=pool.size,
        min_size=pool.min_size,
        level=pool.domain.value,
        per_domain=pool.per_domain,
        root=pool.root,
        device_class=pool.device_class,
    )


def _tried(args: CephArgs) -> tuple[RbdNamespace, ...]:
    """Namespaces with their keys (``keys`` names them), and one more that these keys must not open."""
    entities = {name: tenant(args.name, args.daemon, name) for name in args.keys}
    tried = [
        RbdNamespace(pool=args.daemon, name=name, entity=entity, secret=secret(args.fsid, entity))
        for name, entity in entities.items()
    ]
    others = [name for name in (args.pool.namespaces if args.pool and tried else ()) if name not in entities]
    return (*tried, *(RbdNamespace(pool=args.daemon, name=name) for name in others[:1]))
