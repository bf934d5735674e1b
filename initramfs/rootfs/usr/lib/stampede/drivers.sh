# Drivers: every device says in its uevent which modules could drive it.

KNOWN_ALIASES=/run/stampede/aliases

# Nodes that load their module when they are first opened, such as loop-control (see depmod(8)).
create_static_nodes() {
  while read -r module node numbers; do
    case $module in '#'*) continue ;; esac
    kind=${numbers%%[0-9]*}
    numbers=${numbers#"$kind"}
    case $node in */*) mkdir -p "/dev/${node%/*}" ;; esac
    [ -e "/dev/$node" ] || mknod -m 600 "/dev/$node" "$kind" "${numbers%:*}" "${numbers#*:}"
  done <"/lib/modules/$(uname -r)/modules.devname"
}

# Asks for the modules of all devices there are; a new bus or disk may bring new devices. What was
# asked for is not asked again, and the long aliases of CPU and mainboard have no driver here. A card
# on an MMC bus (eMMC, SD) has no file modalias, so all are read from uevent.
load_drivers() {
  # An empty list of patterns would match everything in busybox's grep.
  [ -e "$KNOWN_ALIASES" ] || echo none >"$KNOWN_ALIASES"
  for _ in 1 2 3 4 5; do
    aliases=$(find /sys/devices -name uevent -exec sed -n 's/^MODALIAS=//p' {} + 2>/dev/null |
      grep -v '^\(cpu\|dmi\):' | sort -u | grep -vxFf "$KNOWN_ALIASES")
    [ -n "$aliases" ] || break
    echo "$aliases" >>"$KNOWN_ALIASES"
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

# Waits until no device has appeared for a moment, so that the agent's first look finds all disks.
settle_devices() {
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    seen=$(cat /sys/kernel/uevent_seqnum)
    load_drivers
    sleep 0.3
    [ "$(cat /sys/kernel/uevent_seqnum)" != "$seen" ] || break
  done
}
