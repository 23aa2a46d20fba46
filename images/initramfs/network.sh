# Network by DHCP: first on the port that the machine was booted from, then on every port with a link, until one answers.
# Sourced by /init; needs $boot_mac and say().

ports() { # physical ports, the boot port first
  for path in /sys/class/net/*; do
    [ -e "$path/device" ] || continue
    [ -n "$boot_mac" ] && [ "$(cat "$path/address")" = "$boot_mac" ] && echo "${path##*/}"
  done
  for path in /sys/class/net/*; do
    [ -e "$path/device" ] || continue
    [ -n "$boot_mac" ] && [ "$(cat "$path/address")" = "$boot_mac" ] || echo "${path##*/}"
  done
}

has_link() { [ "$(cat "/sys/class/net/$1/carrier" 2>/dev/null)" = 1 ]; }

have_address() { ip -4 -o address show scope global | grep -q .; }

describe() { # name (address, driver, link)
  for port in $(ports); do
    driver=$(readlink "/sys/class/net/$port/device/driver")
    has_link "$port" && link=link || link="no link"
    printf '%s (%s, %s, %s) ' "$port" "$(cat "/sys/class/net/$port/address")" "${driver##*/}" "$link"
  done
}

ask() { # one port: an address, kept and renewed in the background
  say "DHCP on $1 ..."
  udhcpc -i "$1" -s /usr/lib/rackseed-init/udhcpc.sh -p "/run/udhcpc.$1.pid" -t "$2" -T 2 -n -S > /run/udhcpc.log 2>&1
}

network() {
  round=0
  while :; do
    round=$((round + 1))
    all=$(ports)
    for port in $all; do ip link set "$port" up 2>/dev/null; done
    first=$(echo "$all" | head -n 1)
    # A switch port needs seconds for its link, with spanning tree half a minute; the boot port is worth the wait.
    waited=0
    while [ $waited -lt 10 ] && [ -n "$first" ] && ! has_link "$first"; do
      sleep 1
      waited=$((waited + 1))
    done
    found=$(describe)
    say "network ports: ${found:-none; is its driver in this image?}"
    for port in $all; do
      has_link "$port" || continue
      if ask "$port" $((round < 3 ? round * 3 : 8)); then
        say "$port has $(ip -4 -o address show dev "$port" scope global | awk '{print $4; exit}')"
        return
      fi
    done
    say "no DHCP answer on any port with a link (round $round); trying again"
    udevadm settle --timeout=5
    sleep $((round < 5 ? 2 : 10))
  done
}
