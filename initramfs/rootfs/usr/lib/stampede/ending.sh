# How it ends: reboot, power off, or an error that a person can read.

leave() {
  sync
  "$1" -f
  sleep 60 # the kernel is on its way down; the first process must not return
}

go_on() {
  after=$(cat /run/stampede/after 2>/dev/null)
  case $after in
    poweroff)
      say "Powering off"
      leave poweroff
      ;;
    *)
      say "Rebooting"
      leave reboot
      ;;
  esac
}

# Shows the error; then a shell when stampede.shell=1, else a countdown and the reboot.
fail() {
  echo
  say "ERROR: $*"
  say "The output so far is in /run/stampede/console.log"
  [ "$shell" = 1 ] && open_shells
  left=$reboot_delay
  while [ "$left" -gt 0 ]; do
    # Each second only at the end: all of it also goes to a log.
    [ "$left" -gt 10 ] && [ $((left % 10)) -ne 0 ] || printf '\rstampede: Rebooting in %s s ' "$left"
    sleep 1
    left=$((left - 1))
  done
  echo
  leave reboot
}

# One shell on each console; the machine reboots when the first of them is left.
open_shells() {
  say "A shell follows (stampede.shell=1); leave it with \"exit\" to reboot"
  sleep 1 # so that the lines above come before the prompts
  for tty in $(cat /sys/class/tty/console/active); do
    [ "$tty" != tty0 ] || tty=tty1 # tty0 is whichever is shown, and no terminal to log in on
    (
      PS1='stampede# ' setsid sh -c "exec sh -i </dev/$tty >/dev/$tty 2>&1"
      touch /run/stampede/shell-left
    ) &
  done
  until [ -e /run/stampede/shell-left ]; do sleep 1; done
  leave reboot
}
