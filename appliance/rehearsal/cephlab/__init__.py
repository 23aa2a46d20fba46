"""A real Ceph without machines: hosts in namespaces, with sparse disks, and the daemons of Debian 13. See docs/ceph-lab.md."""
