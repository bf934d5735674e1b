# The network card that the machine booted from, and its address.

DHCP_ATTEMPTS=8
CLOCK_TOLERANCE_SECONDS=5

list_nics() {
  for path in /sys/class/net/*; do
    [ -e "$path/device" ] && echo "${path##*/} $(cat "$path/address")"
  done | tr '\n' ' '
}

# Sets nic to the card whose address is $mac. Waits, since a USB card or a slow bus takes seconds.
find_nic() {
  for second in $(seq "$NIC_WAIT_SECONDS"); do
    for path in /sys/class/net/*; do
      nic=${path##*/}
      [ -e "$path/device" ] && [ "$(cat "$path/address")" = "$mac" ] && return 0
    done
    [ $((second % 10)) -ne 5 ] || say "Waiting for the network card \"$mac\""
    sleep 1
  done
  return 1
}

# A card that is down does not tell whether it has a link, which the inventory says of all. Without ARP
# and IPv6 the others take no part in their networks: they may be on the one that we booted from.
raise_other_nics() {
  for path in /sys/class/net/*; do
    other=${path##*/}
    [ -e "$path/device" ] && [ "$other" != "$nic" ] || continue
    echo 1 >"/proc/sys/net/ipv6/conf/$other/disable_ipv6"
    ip link set "$other" arp off up
  done 2>/dev/null
}

# udhcpc stays in the background and renews the lease as long as the agent works.
configure_network() {
  say "Asking for an address on $nic ($mac)"
  ip link set lo up
  ip link set "$nic" up
  pause=1
  for attempt in $(seq "$DHCP_ATTEMPTS"); do
    udhcpc -i "$nic" -n -t 4 -T 2 -s /usr/lib/stampede/udhcpc.sh >/run/stampede/udhcpc.log 2>&1 &&
      return 0
    [ "$attempt" -lt "$DHCP_ATTEMPTS" ] || return 1
    link=$(cat "/sys/class/net/$nic/carrier" 2>/dev/null)
    say "No answer to DHCP on $nic (attempt $attempt of $DHCP_ATTEMPTS, link $([ "$link" = 1 ] && echo up || echo down)); next try in $pause s"
    sleep "$pause"
    pause=$((pause < 16 ? pause * 2 : 16))
  done
}

# Sets the clock to the server's: where a machine's battery is empty it is in another year, and so would
# be what receipts, logs and new files say. Nothing writes it to the hardware. A server that does not
# answer is the agent's to wait for.
set_clock() {
  # timeout(1), since wget's own makes Debian's static busybox crash.
  date=$(timeout 10 wget -q -S -O - "$url/healthz" 2>&1 | sed -n 's/^ *date: *//Ip' | tr -d '\r')
  now=$(date -u -D '%a, %d %b %Y %H:%M:%S' -d "$date" +%s 2>/dev/null) || return 0
  off=$((now - $(date +%s)))
  [ "${off#-}" -gt "$CLOCK_TOLERANCE_SECONDS" ] || return 0
  say "The clock says $(date -u '+%F %T') UTC; it is set to the server's, $date"
  date -u -s "@$now" >/dev/null
}
