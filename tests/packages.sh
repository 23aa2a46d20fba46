#!/bin/bash
# Install the Debian packages of the named groups when they are missing: base, net, ceph, lab, browser, oracle, bench.
# As root they are installed; otherwise the command to run is printed and we stop.
set -eu
declare -A groups=(
  [base]="python3-venv python3-dev gcc iproute2"
  [net]="curl tftp-hpa atftp udhcpc busybox-static isc-dhcp-client isc-dhcp-relay dnsmasq-base tcpdump e2fsprogs gdisk dosfstools zstd util-linux fdisk"
  [lab]="qemu-system-x86 qemu-utils mmdebstrap zstd cpio kmod xz-utils gzip debian-archive-keyring dosfstools e2fsprogs gdisk fdisk tcpdump"
  [ceph]="mmdebstrap debian-archive-keyring e2fsprogs iproute2 util-linux mount"
  [browser]="chromium chromium-driver fonts-dejavu-core"
  [oracle]="dpkg gpgv debian-archive-keyring"
  [bench]="kea-dhcp4-server dnsmasq-base atftpd nginx-light"
)
want=()
for group in "$@"; do
  for package in ${groups[$group]}; do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || want+=("$package")
  done
done
[ ${#want[@]} -eq 0 ] && exit 0
install="apt-get install -y --no-install-recommends ${want[*]}"
if [ "$(id -u)" -ne 0 ]; then
  echo "These Debian packages are missing. Run as root, then try again:" >&2
  echo "  apt-get update && $install" >&2
  exit 1
fi
echo "installing: ${want[*]}"
export DEBIAN_FRONTEND=noninteractive
# Servers that these packages bring are started by us where they are needed, never by their units.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
log=$(mktemp)
if ! { apt-get update -q && $install -q; } > "$log" 2>&1; then
  tail -n 30 "$log" >&2
  echo "apt-get failed; its output is in $log" >&2
  exit 1
fi
rm -f "$log"
