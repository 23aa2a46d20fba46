"""A real Ceph without machines: hosts in namespaces, with sparse disks, and Debian 13's daemons. See docs/ceph-lab.md."""
