#!/bin/sh
# Called by mmdebstrap with the root of the new system, after all packages are configured. Everything here must give the
# same bytes every time.
set -eu
root=$1

for unit in $RACKSEED_ENABLE; do chroot "$root" systemctl --quiet enable "$unit"; done
for unit in $RACKSEED_DISABLE; do chroot "$root" systemctl --quiet disable "$unit" 2>/dev/null || true; done
for unit in $RACKSEED_MASK; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done

# An identity is made at the first boot: an empty machine-id is filled then, and host keys are made by a unit.
: > "$root/etc/machine-id"
rm -f "$root/var/lib/dbus/machine-id" "$root"/etc/ssh/ssh_host_*key* "$root"/etc/nvme/hostid "$root"/etc/nvme/hostnqn
rm -f "$root/etc/hostname" "$root/etc/resolv.conf" "$root/var/lib/systemd/random-seed"
ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
chroot "$root" passwd --quiet --lock root
install -d -m 0700 "$root/root/.ssh"
install -d -m 0755 "$root/boot/efi" "$root/boot/grub"

# Caches that a first boot would build for minutes on a slow machine.
chroot "$root" ldconfig
chroot "$root" systemd-hwdb update --usr
chroot "$root" journalctl --update-catalog
touch "$root/etc/.updated" "$root/var/.updated"

# What the build left.
rm -f "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/apt/sources.list"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin "$root"/var/cache/debconf/*-old
# Written when the packages' scripts imported them, not always with the same bytes.
rm -rf "$root/usr/share/python3/debpython/__pycache__"
rm -rf "$root"/var/cache/ldconfig "$root"/var/lib/dpkg/*-old "$root"/tmp/* "$root"/run/* "$root"/boot/*.old "$root"/*.old
find "$root/var/log" -type f -delete
rm -f "$root"/etc/passwd- "$root"/etc/group- "$root"/etc/shadow- "$root"/etc/gshadow- "$root"/etc/.pwd.lock
mkdir -p "$root/etc/apt/sources.list.d"
printf '%s' "$RACKSEED_SOURCES" > "$root/etc/apt/sources.list.d/debian.sources"
