"""Settings that make daemons small and quick: only for labs. They reach the daemons beside ceph.conf (``CEPH_ARGS``), so
that the files are those that the product writes.

Measured on this lab (docs/ceph-lab.md). None of them changes what Ceph promises of data: they bound caches, threads and
logs, and they make `ceph-mon` less nervous about this computer's disk.
"""

from __future__ import annotations

UNUSED = (
    "alerts",
    "influx",
    "insights",
    "localpool",
    "mirroring",
    "nfs",
    "osd_perf_query",
    "osd_support",
    "prometheus",
    "restful",
    "selftest",
    "snap_schedule",
    "stats",
    "telegraf",
    "test_orchestrator",
    "zabbix",
)
"""Modules of ceph-mgr, none of which is always on."""

SMALL: tuple[tuple[str, str], ...] = (
    ("bluestore_cache_autotune", "false"),
    ("bluestore_cache_size", "16777216"),
    ("bluestore_cache_kv_ratio", "0.4"),
    ("bluestore_cache_meta_ratio", "0.4"),
    ("osd_memory_target", "939524096"),
    ("bluestore_rocksdb_options_annex", "write_buffer_size=4194304,max_write_buffer_number=2,max_background_jobs=1"),
    # 1024 by default, twice per OSD: fs.aio-max-nr (65 536 by default) is used up by OSD 33
    ("bdev_aio_max_queue_depth", "64"),
    ("osd_op_num_shards", "1"),
    ("osd_op_num_threads_per_shard", "1"),
    ("ms_async_op_threads", "1"),
    ("osd_min_pg_log_entries", "50"),
    ("osd_max_pg_log_entries", "100"),
    ("osd_pg_log_dups_tracked", "100"),
    ("rocksdb_cache_size", "16777216"),
    ("mon_osd_cache_size", "10"),
    ("mon_memory_autotune", "false"),
    ("mds_cache_memory_limit", "67108864"),
    # modules that nothing here uses: they cost every manager seconds of CPU at its start, and memory
    ("mgr_disabled_modules", ",".join(UNUSED)),
    # how fast a disk is was measured with a benchmark at every first start (5 s): here the answer is never used
    ("osd_mclock_skip_benchmark", "true"),
    # this computer's disk is full of other things
    ("mon_data_avail_warn", "5"),
    ("mon_data_avail_crit", "2"),
    # a few pools on few OSDs are many placement groups each
    ("mon_max_pg_per_osd", "500"),
    ("osd_max_pg_per_osd_hard_ratio", "10"),
)
"""Name → value."""


def arguments(settings: tuple[tuple[str, str], ...]) -> str:
    """As ``CEPH_ARGS`` wants them. Values have no spaces."""
    return " ".join(f"--{name}={value}" for name, value in settings)
