#!/bin/sh
# Called by udhcpc with what happened; the lease is in the environment (ip, mask, router, dns …).

case $1 in
  deconfig)
    ip addr flush dev "$interface"
    ip link set "$interface" up
    ;;
  bound | renew)
    # Replaced, not flushed: a renewal must not cut the connections of a running transfer.
    ip addr replace "$ip/$mask" broadcast + dev "$interface" valid_lft forever
    for address in $(ip -4 -o addr show dev "$interface" | awk '{ print $4 }'); do
      [ "$address" = "$ip/$mask" ] || ip addr del "$address" dev "$interface"
    done
    set -- "$1" $router
    [ -z "$2" ] || ip route replace default via "$2" dev "$interface"
    for server in $dns; do echo "nameserver $server"; done >/run/stampede/resolv.conf
    [ -z "$domain" ] || echo "search $domain" >>/run/stampede/resolv.conf
    mv /run/stampede/resolv.conf /etc/resolv.conf
    [ "$1" = renew ] ||
      echo "stampede: Address $ip/$mask${router:+, router $2}${dns:+, name servers $dns}" >/run/stampede/output
    ;;
esac
