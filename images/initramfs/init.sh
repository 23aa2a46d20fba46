#!/usr/bin/busybox sh
# First process of the agent image: devices, network, agent. Never ends, and never leaves a dead console.
export PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 TERM=linux
umask 022

mount -t proc -o nosuid,noexec,nodev proc /proc
mount -t sysfs -o nosuid,noexec,nodev sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm
mount -t devpts -o noexec,nosuid,gid=5,mode=0620 devpts /dev/pts
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs /tmp
mkdir -p /run/udev /run/lock

boot_mac= debug= quiet=
for word in $(cat /proc/cmdline); do
  case $word in
    rackseed.boot_mac=*) boot_mac=$(echo "${word#*=}" | tr 'A-F-' 'a-f:') ;;
    rackseed.debug) debug=1 ;;
  esac
done

# Our lines go to the kernel's log and to every console; the kernel itself only shows errors there.
[ -n "$debug" ] || echo 4 > /proc/sys/kernel/printk
say() {
  read -r up _ < /proc/uptime
  echo "<6>rackseed: $*" > /dev/kmsg
  for console in $(cat /sys/class/tty/console/active); do
    printf '[%8s] rackseed: %s\r\n' "$up" "$*" > "/dev/$console" 2>/dev/null
  done
}

say "agent image $(cat /etc/rackseed/version), kernel $(uname -r)"
if [ -d /sys/firmware/efi ]; then
  modprobe -q efivarfs
  mount -t efivarfs -o nosuid,noexec,nodev efivarfs /sys/firmware/efi/efivars 2>/dev/null
fi

/usr/lib/systemd/systemd-udevd --daemon --resolve-names=never
udevadm trigger --type=subsystems --action=add
# Terminals, memory blocks and the like are hundreds of events, and need no driver and no name from us.
udevadm trigger --type=devices --action=add --subsystem-nomatch=tty --subsystem-nomatch=memory \
  --subsystem-nomatch=cpu --subsystem-nomatch=machinecheck --subsystem-nomatch=workqueue --subsystem-nomatch=vc \
  --subsystem-nomatch=bdi --subsystem-nomatch=clockevents --subsystem-nomatch=clocksource --subsystem-nomatch=wakeup \
  --subsystem-nomatch=event_source --subsystem-nomatch=thermal --subsystem-nomatch=vtconsole
udevadm settle --timeout=120 || say "some devices are still not ready after two minutes; going on"
# Nothing announces a BMC that only the firmware's tables name, and ipmi_si looks there by itself.
modprobe -q -a ipmi_si ipmi_devintf 2>/dev/null

ip link set lo up
. /usr/lib/rackseed-init/network.sh
network

if [ -n "$debug" ]; then
  say "rackseed.debug: a shell is open on every console"
  for console in $(cat /sys/class/tty/console/active); do
    (while :; do setsid sh -l < "/dev/$console" > "/dev/$console" 2>&1; sleep 1; done) &
  done
fi

pause=2
export PYTHONPATH=/usr/lib/rackseed:/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
# Nothing here needs ciphers of the 1990s; without this, cryptography insists on their module.
export CRYPTOGRAPHY_OPENSSL_NO_LEGACY=1
while :; do
  read -r started _ < /proc/uptime
  say "starting the agent"
  # The agent writes to the consoles itself; what it says on standard error is a crash, and shown at its end.
  python3 -S -m agent > /run/agent.log 2>&1
  code=$?
  read -r ended _ < /proc/uptime
  tail -n 12 /run/agent.log | while read -r line; do say "| $line"; done
  [ $((${ended%.*} - ${started%.*})) -gt 300 ] && pause=2
  say "the agent ended with code $code; starting it again in $pause s"
  sleep $pause
  [ $pause -lt 60 ] && pause=$((pause * 2))
  have_address || network
done
