// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_UNIT_MEASURE_STORY_H_
#define PARKVMM_TESTS_UNIT_MEASURE_STORY_H_

#include <cstdint>
#include <vector>

#include "psci-emul/psci_abi.h"
#include "vmm/devices/mark_abi.h"
#include "vmm/measure/kexec_tracker.h"

namespace vmm {

// Tells the story of a guest to a tracker, one event per call.
class Story {
 public:
  explicit Story(uint32_t vcpus,
                 KexecTracker::Keep keep = KexecTracker::Keep::kAll)
      : tracker(Mpidrs(vcpus), keep) {}

  static std::vector<uint64_t> Mpidrs(uint32_t vcpus) {
    std::vector<uint64_t> mpidrs;
    for (uint64_t i = 0; i < vcpus; ++i) {
      mpidrs.push_back((i & 0xf) | (i >> 4) << 8);
    }
    return mpidrs;
  }
  bool Psci(int64_t ns, uint32_t vcpu, uint32_t function, uint64_t x1 = 0,
            int64_t result = 0) {
    return tracker
        .Add({.ns = ns,
              .vcpu = vcpu,
              .kind = Event::Kind::kPsci,
              .function = function,
              .args = {x1},
              .result = result})
        .has_value();
  }
  bool Other(int64_t ns, uint32_t vcpu, Event::Kind kind) {
    return tracker.Add({.ns = ns, .vcpu = vcpu, .kind = kind}).has_value();
  }
  bool Mark(int64_t ns, uint64_t code, uint64_t cpus) {
    return tracker
        .Add({.ns = ns, .kind = Event::Kind::kMark, .args = {code, cpus}})
        .has_value();
  }
  void TurnOn(int64_t ns, uint32_t vcpu) {
    Psci(ns, 0, PSCI_CPU_ON_64, vcpu);
    Other(ns + 1, vcpu, Event::Kind::kStart);
  }
  void TurnOff(int64_t ns, uint32_t vcpu) {
    Psci(ns, vcpu, PSCI_CPU_OFF);
    Other(ns + 1, vcpu, Event::Kind::kOff);
  }
  // What Linux asks first.
  bool Probe(int64_t ns, uint32_t vcpu = 0) {
    const bool is_first = Psci(ns, vcpu, PSCI_VERSION);
    return Psci(ns + 1, vcpu, PSCI_MIGRATE_INFO_TYPE) || is_first;
  }
  // Starts at `ns`, ends with the up mark at ns + 100.
  void Boot(int64_t ns, uint32_t cpus) {
    Probe(ns);
    for (uint32_t i = 1; i < cpus; ++i) TurnOn(ns + int64_t{10} * i, i);
    Mark(ns + 100, MARK_CODE_UP, cpus);
  }

  KexecTracker tracker;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_UNIT_MEASURE_STORY_H_
