// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_DEVICES_PL031_H_
#define PARKVMM_VMM_DEVICES_PL031_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "vmm/base/mutex.h"
#include "vmm/devices/mmio_device.h"

namespace vmm {

// Arm PL031 real-time clock (DDI 0224): the host's seconds plus an offset that
// the guest may set, and an alarm. Always counts.
class Pl031 : public MmioDevice {
 public:
  static constexpr DeviceNeeds kNeeds = {.name = "pl031", .interrupt = true};

  struct Host {
    // Called by any thread with the device's lock held, so they must not call
    // the device.
    std::function<int64_t()> now_s;  // Since 1970.
    // Has Ring() called once now_s() is so far; nullopt: not any more.
    std::function<void(std::optional<int64_t> at_s)> set_alarm;
    std::function<void(bool)> set_interrupt;
  };

  explicit Pl031(Host host) : host_(std::move(host)) {}

  // The host's clock may have come to the alarm's time. Any thread.
  void Ring();

  absl::string_view Name() const override { return kNeeds.name; }
  uint64_t Read(const MmioAccess& access) override;
  AfterWrite Write(const MmioAccess& access, uint64_t value) override;
  void Describe(fdt::TreeWriter& tree,
                const fdt::DevicePlace& place) const override;

 private:
  uint32_t Count(int64_t now_s) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return static_cast<uint32_t>(now_s) + offset_;
  }
  void AwaitMatch(int64_t now_s) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void UpdateInterrupt() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Host host_;
  Mutex mutex_;
  uint32_t offset_ ABSL_GUARDED_BY(mutex_) = 0;
  uint32_t match_ ABSL_GUARDED_BY(mutex_) = 0;
  bool unmasked_ ABSL_GUARDED_BY(mutex_) = false;
  bool raw_ ABSL_GUARDED_BY(mutex_) = false;
  bool asserted_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<int64_t> alarm_s_ ABSL_GUARDED_BY(mutex_);  // By the host.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_DEVICES_PL031_H_
