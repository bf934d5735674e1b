# Drivers: every device says in its modalias which modules could drive it.

# Asks for the modules of all devices there are; a new bus or disk may bring new devices.
load_drivers() {
  before=
  for _ in 1 2 3 4 5; do
    aliases=$(find /sys/devices -name modalias -exec cat {} + 2>/dev/null | sort -u)
    [ "$aliases" != "$before" ] || break
    before=$aliases
    echo "$aliases" | tr '\n' '\0' | xargs -0 modprobe -a -b -q 2>/dev/null
  done
}

# USB devices appear seconds later. The kernel counts its events, so that looking costs nothing.
load_late_drivers() {
  seen=
  for _ in $(seq "$HOTPLUG_SECONDS"); do
    now=$(cat /sys/kernel/uevent_seqnum)
    [ "$now" = "$seen" ] || load_drivers
    seen=$now
    sleep 1
  done
}
