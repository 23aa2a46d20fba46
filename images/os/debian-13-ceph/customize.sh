#!/bin/sh
# Called by mmdebstrap with the root of the new system, before debian-13's own script, which cleans up.
set -eu
root=$1

# Folders of the modules that were left out.
find "$root/usr/share/ceph/mgr" -mindepth 1 -type d -empty -delete

# The package brings the manager's modules as sources only, and the manager may not write there: it would compile all of
# them at every start. With the time of the source in them, those of a later version are not mistaken for these.
chroot "$root" python3 -m compileall -q --invalidation-mode timestamp /usr/share/ceph/mgr
