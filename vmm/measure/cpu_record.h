// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_MEASURE_CPU_RECORD_H_
#define PARKVMM_VMM_MEASURE_CPU_RECORD_H_

#include <cstdint>
#include <optional>

namespace vmm {

// A CPU on its way out of a kernel. Stamps are those of the events.
struct Leave {
  int64_t left = 0;
  bool parked = false;   // By a store of the magic, not by CPU_OFF.
  bool sampled = false;  // The stamps order it, and no time is taken from them.
  std::optional<int64_t> off;
  std::optional<int64_t> known;
  int64_t firmware = 0;  // Part of `left` to `off`.
};

// A CPU on its way into a kernel.
struct Arrival {
  int64_t called = 0;
  bool released = false;  // By a store of exit, not by CPU_ON.
  bool sampled = false;   // As a Leave's.
  std::optional<int64_t> started;
  int64_t firmware = 0;  // Part of `called` to `started`.
};

// What one CPU did in the boot in progress.
struct CpuRecord {
  std::optional<Leave> leave;      // Out of the old kernel.
  std::optional<Arrival> arrival;  // Into the new one, the first time.
  std::optional<int64_t> refused;  // What CPU_ON was answered, if not SUCCESS.
  std::optional<Leave> next;       // Out of the new one again, if it did.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_MEASURE_CPU_RECORD_H_
