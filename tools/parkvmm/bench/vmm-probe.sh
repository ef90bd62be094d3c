# SPDX-License-Identifier: Apache-2.0
# Measures programs that run a guest, from outside: what the host's kernel traces
# of them, and what /proc says. Runs in an arm64 host; tools/bench-vmm calls it.
#
#   vmm-probe.sh start NAME MIB RUNS COMMAND...  execve() to the first entry of a guest,
#                                                and the last exit from it to SIGCHLD
#   vmm-probe.sh idle NAME MIB COMMAND...        memory and CPU time once a guest idles
#   vmm-probe.sh kexecs NAME MIB COMMAND...      memory after some kexecs, after many
#   vmm-probe.sh watch NAME MIB COMMAND...       memory, threads and files each second
#   vmm-probe.sh ns NAME MIB INSTANCE EVENT first|last   one time alone, of $TRACING
#
# MIB is the guest's memory. Each figure is a line: [probe] NAME FIGURE NUMBER, in ns
# or bytes.
set -eu
mode=$1 name=$2 guest_kib=$(($3 * 1024))
shift 3
T=${TRACING:-/sys/kernel/tracing}
DEADLINE=600  # seconds for a guest to say that it is ready

say() { echo "[probe] $name $1 $2"; }

# trace INSTANCE OVERWRITE EVENT...: follows events from now on.
trace() {
  instance=$T/instances/$1
  mkdir -p "$instance"
  echo mono >"$instance/trace_clock"
  echo "$2" >"$instance/options/overwrite"
  echo 128 >"$instance/buffer_size_kb"
  shift 2
  echo "sig == 17" >"$instance/events/signal/signal_generate/filter"
  for event; do echo 1 >"$instance/events/$event/enable"; done
}

# ns INSTANCE EVENT first|last: its time. Lines are "comm-pid [cpu] flags s: event: ...".
# No number of awk's: busybox takes one that begins with 0 for octal.
ns() {
  awk -v event="$2:" -v which="$3" '
    { for (i = 1; i < NF; i++) if ($(i + 1) == event) {
        time = $i; if (which == "first") exit } }
    END { gsub("[.:]", "", time); sub("^0*", "", time); print time "000" }' \
    "$T/instances/$1/trace"
}

# median NUMBER...: a run that the host's tick meets is another one.
median() { printf '%s\n' "$@" | sort -n | sed -n "$((($# + 1) / 2))p"; }

# start RUNS COMMAND...
start() {
  runs=$1 starts='' ends=''
  shift
  [ -e $T/trace_clock ] || mount -t tracefs tracefs $T
  for _ in $(seq "$runs"); do start_once "$@"; done
  say start_ns "$(median $starts)"
  say end_ns "$(median $ends)"
}

start_once() {
  # The beginning of what may fill it, and the end. Files are closed, and with them a
  # VM, after the event sched_process_exit and before the parent is told.
  trace first 0 sched/sched_process_exec kvm/kvm_entry
  trace last 1 signal/signal_generate kvm/kvm_exit
  "$@" >/dev/null 2>/tmp/probe.err || ended=$?
  echo 0 >$T/instances/first/tracing_on
  echo 0 >$T/instances/last/tracing_on
  starts="$starts $(($(ns first kvm_entry first) - $(ns first sched_process_exec first)))"
  ends="$ends $(($(ns last signal_generate last) - $(ns last kvm_exit last)))"
  rmdir $T/instances/first $T/instances/last
  return ${ended:-0}
}

# The program's own memory: guest RAM is a mapping of most of its size, or of the
# park window. What is not writable of the program and its libraries is text.
memory() {
  awk -v file="$(readlink /proc/$pid/exe)" -v guest_kib=$guest_kib '
    /^[0-9a-f]+-[0-9a-f]+ / { name = $6; writable = $2 ~ /w/ }
    /^Size:/ { size = $2 }
    /^Rss:/ { rss = $2 }
    /^Private_Dirty:/ {
      if (size > guest_kib / 2 || name ~ /memfd:park/) next
      if (!writable && (name == file || name ~ /\.so/)) text += rss
      else own += $2
    }
    END { print own * 1024, text * 1024 }' /proc/$pid/smaps
}

cpu_ns() { awk '{ sum += $1 } END { printf "%.0f\n", sum }' /proc/$pid/task/*/schedstat; }

launch() {
  "$@" >/tmp/probe.out 2>/tmp/probe.err &
  pid=$!
}

# await TEXT: until the guest says it on its console.
await() {
  left=$((DEADLINE * 10))
  until grep -q "$1" /tmp/probe.out; do
    if ! kill -0 $pid 2>/dev/null || [ $((left -= 1)) -le 0 ]; then
      echo "waited $DEADLINE s for a guest to say \"$1\", or it ended:" >&2
      tail -n 5 /tmp/probe.out /tmp/probe.err >&2
      exit 1
    fi
    usleep 100000
  done
}

idle() {
  launch "$@"
  await "up, cycle"
  sleep 5  # What a boot leaves to be done is done.
  set -- $(memory)
  say own_bytes "$1"
  say text_bytes "$2"
  say threads "$(ls /proc/$pid/task | wc -l)"
  say files "$(ls /proc/$pid/fd | wc -l)"
  before=$(cpu_ns)
  sleep 60  # What a guest does now and then evens out.
  say idle_ns $((($(cpu_ns) - before) / 6))
  kill $pid
  wait $pid || :
}

# Of guest-stub's kexec_again, which sleeps for a second then.
kexecs() {
  launch "$@"
  for count in 5 100; do
    await "sleeps after kexec $count\\."
    usleep 200000  # Its events have been read.
    set -- $(memory)
    say after_${count}_bytes "$1"
  done
  wait $pid
}

# What it says goes to $RESULTS. Ends as it ends.
watch() {
  "$@" >"$RESULTS/console.log" 2>"$RESULTS/vmm.log" &
  pid=$!
  while sleep 1 && set -- $(memory 2>/dev/null) && [ "${1:-0}" -gt 0 ]; do
    say own_bytes "$1"
    say threads "$(ls /proc/$pid/task | wc -l)"
    say files "$(ls /proc/$pid/fd | wc -l)"
  done
  wait $pid
}

"$mode" "$@"
