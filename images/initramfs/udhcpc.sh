#!/usr/bin/busybox sh
# What udhcpc calls: address, route and name servers of the port.
export PATH=/usr/sbin:/usr/bin
case $1 in
  deconfig)
    ip -4 address flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    ip -4 address replace "$ip/${mask:-24}" dev "$interface"
    for gateway in $router; do
      ip -4 route replace default via "$gateway" dev "$interface"
      break
    done
    : > /etc/resolv.conf
    [ -n "$domain" ] && echo "search $domain" >> /etc/resolv.conf
    for server in $dns; do echo "nameserver $server" >> /etc/resolv.conf; done
    ;;
esac
exit 0
