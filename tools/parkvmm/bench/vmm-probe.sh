# SPDX-License-Identifier: Apache-2.0
# Measures programs that run a guest, from outside: what the host's kernel traces
# of them, and what /proc says. Runs in an arm64 host; tools/bench-vmm calls it.
#
#   vmm-probe.sh start NAME COMMAND...   execve() to the first entry of a guest,
#                                        and the last exit from it to the end
#   vmm-probe.sh idle NAME COMMAND...    memory and CPU time once a guest idles
#
# Each figure is a line: [probe] NAME FIGURE NUMBER, in ns or bytes.
set -eu
mode=$1 name=$2
shift 2
T=/sys/kernel/tracing

say() { echo "[probe] $name $1 $2"; }

# trace INSTANCE OVERWRITE EVENT...: follows events from now on.
trace() {
  instance=$T/instances/$1
  mkdir -p "$instance"
  echo mono >"$instance/trace_clock"
  echo "$2" >"$instance/options/overwrite"
  echo 2000 >"$instance/buffer_size_kb"
  shift 2
  for event; do echo 1 >"$instance/events/$event/enable"; done
}

# ns INSTANCE EVENT first|last: its time. Lines are "comm-pid [cpu] flags s: event: ...".
ns() {
  awk -v event="$2:" -v which="$3" '
    { for (i = 1; i < NF; i++) if ($(i + 1) == event) {
        time = $i; sub(":", "", time); if (which == "first") exit } }
    END { split(time, part, "."); printf "%d%09d\n", part[1], part[2] * 1000 }' \
    "$T/instances/$1/trace"
}

start() {
  [ -e $T/trace_clock ] || mount -t tracefs tracefs $T
  # The beginning of what may fill it, and the end.
  trace first 0 sched/sched_process_exec kvm/kvm_entry
  trace last 1 sched/sched_process_exit kvm/kvm_exit
  "$@" >/dev/null 2>/tmp/probe.err || ended=$?
  echo 0 >$T/instances/first/tracing_on
  echo 0 >$T/instances/last/tracing_on
  say start_ns $(($(ns first kvm_entry first) - $(ns first sched_process_exec first)))
  say end_ns $(($(ns last sched_process_exit last) - $(ns last kvm_exit last)))
  rmdir $T/instances/first $T/instances/last
  return ${ended:-0}
}

# The program's own memory: guest RAM is a mapping larger than 8 MiB, or of the park
# window. What is not writable of its file is its text.
memory() {
  awk -v file="$2" '
    /^[0-9a-f]+-[0-9a-f]+ / { name = $6; writable = $2 ~ /w/ }
    /^Size:/ { size = $2 }
    /^Rss:/ { rss = $2 }
    /^Private_Dirty:/ {
      if (size > 8192 || name ~ /memfd:park/) next
      if (!writable && name == file) text += rss
      else own += $2
    }
    END { print own * 1024, text * 1024 }' "/proc/$1/smaps"
}

cpu_ns() { awk '{ sum += $1 } END { printf "%.0f\n", sum }' /proc/$1/task/*/schedstat; }

idle() {
  "$@" >/tmp/probe.out 2>/tmp/probe.err &
  pid=$!
  sleep 8  # It boots in 2 s of virtual time.
  file=$(readlink /proc/$pid/exe)
  set -- $(memory $pid "$file")
  say own_bytes "$1"
  say text_bytes "$2"
  say threads "$(ls /proc/$pid/task | wc -l)"
  say files "$(ls /proc/$pid/fd | wc -l)"
  before=$(cpu_ns $pid)
  sleep 10
  say idle_ns $(($(cpu_ns $pid) - before))
  kill $pid
  wait $pid || :
}

"$mode" "$@"
